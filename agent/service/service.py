"""The long-running service: wake-ups in, passes out, systemd told.

A wake-up carries no information but "look again". One pass at a time; what wakes us meanwhile is remembered by `Wakes`.
An exception that nobody expected ends the pass that it came from, never the service: the next pass comes later each
time, what wakes us still does, and the picture of the last good pass stays.
Not known here: what wakes us (`watch/`), what a pass does (`one_pass/reconcile.py`), and how a choice remembers
(`one_pass/memory.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from agent import __version__
from agent.audit.facts import Plain
from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.clients.accounts import NAME_SERVICE
from agent.decide.backoff import again_s
from agent.decide.choose import Ending
from agent.decide.probation import Trial
from agent.decide.rate import Cause
from agent.decide.restart import When
from agent.docker.glance import invocation_link
from agent.docker.journal import UnderWay
from agent.docker.unit import SLOW_S
from agent.one_pass.memory import Memory
from agent.one_pass.ports import World
from agent.one_pass.reconcile import Interrupted, reconcile, what_keeps_it_down
from agent.one_pass.seen import Pass, Seen
from agent.service.corrections import Corrections
from agent.service.diary import Diary
from agent.service.lifetime import TOLD_TO_STOP, Lifetime
from agent.service.notify import Notify
from agent.service.requests import (
    Answer,
    Command,
    Request,
    Wish,
    answer_of,
    asked_by,
    by_the_policy_of_before,
    obey,
    without_a_pass,
    wrong_lines,
)
from agent.service.status import Docker, Looks, Since, clients_of, status_of
from agent.service.status_file import PolicyStatus, StatusFile
from agent.service.status_page import headline
from agent.service.watch.unwatched import Unwatched
from agent.system.clock import now_text
from agent.system.files import identity_of
from agent.system.policy_file import NO_POLICY, WRITE_ONE, Loaded, load_safely, named, owners
from agent.system.process_start import boot_id
from agent.system.to_the_end import to_the_end
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError, NoPolicy, PolicyRefused, Unexpected
from agent.values.events import Event
from agent.values.listening import LocalProxy
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.reason import Reason
from agent.values.verdict import Verdict

READY_WITHIN_S: Final = 5.0  # then Docker's start is no longer held up, whatever the network does
# While our unit stops, systemd holds up Docker's start, for we are Before= it: waiting for that would never end. Docker
# then starts with what was written, and the next start of the agent looks.
_STOPS_WITHIN_S: Final = 2.0
SLOW_SAID_S: Final = 20.0  # a dockerd with many containers takes some seconds
_STARTING_S: Final = 5.0  # nothing tells when a Docker that somebody else starts is up, or answers again
_MOVING_S: Final = 1.0  # a Docker that crashed after our restart, until it is up, or down for good
FINISH_AGAIN_S: Final = 60.0  # a Docker that does not start is not started all the time
_REREAD: Final = frozenset({Reason.FILES, Reason.REQUEST})  # wake-ups after which the policy is read again


class Part(enum.Enum):
    """What may fail by itself: a part that works again says nothing of the others."""

    POLICY = "policy"
    UNDER_WAY = "what is under way"
    LAID_DOWN = "what a person laid down"
    WAKES = "what wakes the agent"
    WHOLE = "the pass"


class Wakes(Protocol):
    """What wakes the service."""

    async def next(self, at: float | None) -> frozenset[Reason]:
        """Why it is time to look again, once that has come to rest; at the latest at that moment of CLOCK_BOOTTIME."""
        ...

    async def interrupted(self) -> Reason:
        """NETWORK, which is taken with it, or REQUEST, which stays for `next`: what a mere look does not hold up."""
        ...

    async def files_told(self) -> None:
        """Until files change, be it during a pass; nothing is taken of what wakes."""
        ...

    def watch(self, files: Sequence[Path]) -> None:
        """The files whose change wakes us."""
        ...

    def follow(self, pid: int) -> None:
        """The process whose end wakes us; 0: none."""
        ...

    def follow_neighbours(self, are_followed: bool) -> None:
        """Whether a MAC that becomes known wakes us."""
        ...

    def hold(self, proxies: Collection[LocalProxy], again_s: float) -> None:
        """The proxies on this host whose end wakes us; one that ended otherwise is looked at again that late."""
        ...

    def request(self) -> None:
        """Wakes us as one who asks."""
        ...

    @property
    def unwatched(self) -> Unwatched:
        """Of those files, what nothing tells of."""
        ...


class Service:
    """One agent, from start to stop."""

    def __init__(
        self,
        paths: Paths,
        policy_path: Path,
        wakes: Wakes,
        notify: Notify,
        world: Callable[[Paths, Policy], World],
    ) -> None:
        self._paths = paths
        self._policy_path = policy_path
        self._wakes = wakes
        self._notify = notify
        self._make_world = world
        self._audit_log = AuditLog(paths.audit_log, paths.state)
        self._record = Record(self._audit_log, trigger="service")
        self._memory = Memory(paths.state)
        self._memory.take_up()
        self._memory.is_starting = True
        self._diary = Diary()
        self._corrections = Corrections(paths)
        self._status = StatusFile(paths.status)
        self._lifetime = Lifetime(paths.state)
        self._loaded: Loaded | None = None
        self._loaded_at: str | None = None
        self._refused: PolicyRefused | None = None
        self._world: World | None = None
        self._idle_world: World | None = None  # without a policy
        self._last: Pass | None = None
        self._last_at: str | None = None
        self._failed: dict[Part, AgentError] = {}
        self._failures = 0  # in a row
        self._outgoing: list[World] = []  # of policies that are not in force any more
        self._in_hand: list[Request] = []  # that the pass under way is to answer
        self._finishes_at = 0.0
        self._is_unfinished = False
        self._is_in_vain = False  # a Docker that is down because of what was written could not be helped the last time
        self._under_way = UnderWay()
        self._docker = Docker()
        self._lost: Condition | None = None  # by the last restart
        self._since: Since | None = None
        self._asked_at: dict[str, tuple[Verdict, str]] = {}  # when each upstream's last verdict came
        self._idle: Reality | None = None  # dockerd, where no policy asks for a pass
        self._clients_shown: tuple[Plain, ...] = ()  # as they were when they were last looked at
        self._idle_down: Condition | None = None  # it is broken, and why
        self._invocation = ""
        self._on_disk: tuple[object, ...] = ()  # the policy's files, as they were last read
        self._shown: tuple[Pass | None, *tuple[Condition, ...]] = (None,)
        self._is_shown_working = False
        self._slow: asyncio.Task[None] | None = None
        self._requests: list[Request] = []
        self._is_reload_due = False

    def reload(self) -> None:
        """SIGHUP: read everything again, and forgive."""
        self._is_reload_due = True
        self._notify.reloading()
        self._wakes.request()

    async def asked(self, request: Request) -> Answer:
        """What a person asks for; answered when the pass that follows has ended."""
        if not self._goes_by(request.wish.policy):
            return _by_another_policy(request.wish, self._policy_path)
        self._requests.append(request)
        self._wakes.request()
        return await request.answer

    def _goes_by(self, policy: str) -> bool:
        return policy in ("", os.path.abspath(self._policy_path))  # noqa: PTH100 - links are as named

    async def run(self) -> None:
        """Until it is cancelled; everything then stays as it is."""
        self._begins()
        ready = asyncio.create_task(self._ready_at_the_latest())
        alive = asyncio.create_task(self._alive())
        heeding = asyncio.create_task(self._heed_the_policy())
        ended = TOLD_TO_STOP
        try:
            # The unit is Before=docker.service: until READY only files are written, or the two wait for each other.
            self._memory.note_resumed()
            self._reread()
            if not await self._recovered(may_restart=False):
                await self._look(frozenset())
            self._notify.ready()
            self._memory.is_starting = False
            await self._recovered(may_restart=True)
            at = await self._look(frozenset())
            while True:
                at = await self._look(await self._woken(at))
        except Exception as error:
            ended = f"ended by an error that nobody expected: {type(error).__name__}"
            raise
        finally:
            self._notify.stopping()
            for task in (ready, alive, heeding):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._ends(ended)

    async def _woken(self, at: float | None) -> frozenset[Reason]:
        try:
            why = await self._wakes.next(at)
        except Exception as error:  # noqa: BLE001 - without what wakes us, the clock does
            self._fails(Part.WAKES, error)
            await asyncio.sleep(self._backed_off() - self._memory.now())
            return frozenset({Reason.TIMER})
        self._works(Part.WAKES)
        return why

    def _begins(self) -> None:
        before = None
        with contextlib.suppress(AgentError):  # a full disk: the start is recorded all the same
            before = self._lifetime.begins()
        self._record(Event.AGENT_STARTED, version=__version__, before=before)

    def _ends(self, how: str) -> None:
        self._record(Event.AGENT_STOPPED, because=how)
        with contextlib.suppress(AgentError):  # a full disk: the next one takes it for killed
            self._lifetime.ends(how)

    async def _recovered(self, *, may_restart: bool) -> bool:
        """Before anything else: what an agent that ended in the middle left, with a policy or without.

        Whether nothing may be written before Docker, too, is looked after.
        """
        world = self._world_at_hand
        self._finishes_at = self._memory.now() + FINISH_AGAIN_S
        try:
            recovering = world.daemon.recover(self._record, may_restart=may_restart)
            waits = await to_the_end(recovering, _STOPS_WITHIN_S)
            if may_restart:  # a home that hangs must not hold Docker's start up
                await world.clients.recover()
        except Exception as error:  # noqa: BLE001 - the boundary of a pass
            if not await world.daemon.goes_down():
                self._fails(Part.UNDER_WAY, error)
            return False
        return waits

    async def _finished(self) -> None:
        """What could not be finished comes before every pass, at most once a minute."""
        world = self._world_at_hand
        try:
            under_way = await asyncio.to_thread(world.daemon.under_way)
            is_broken, is_to_be_judged = self._is_broken_by(under_way), self._is_to_be_judged(under_way)
            self._is_in_vain = self._is_in_vain and is_broken
            is_due = is_broken or is_to_be_judged or under_way.is_unfinished
            is_at_once = (is_broken or is_to_be_judged) and not self._is_in_vain
            if is_at_once or (is_due and self._memory.now() >= self._finishes_at):
                self._is_in_vain = is_broken  # if it is so the next time, too
                await self._recovered(may_restart=True)
                under_way = await asyncio.to_thread(world.daemon.under_way)
        except AgentError as error:  # without knowing what is under way nothing may be done
            self._fails(Part.UNDER_WAY, error)
            self._memory.is_held = True
            return
        except BaseException:
            self._memory.is_held = True
            raise
        self._works(Part.UNDER_WAY)
        self._is_unfinished, self._memory.is_held = under_way.is_unfinished, under_way.forbids_writing
        self._under_way = under_way

    @property
    def _trial(self) -> Trial | None:
        """The last start with what was written, which is not believed yet."""
        return self._under_way.trial

    def _is_broken_by(self, under_way: UnderWay) -> bool:
        """Whether the Docker that was last seen is down because of it."""
        reality = self._last.seen.reality if self._last is not None else self._idle
        if reality is None:
            return False
        has_died = reality.unit.phase is Phase.BROKEN and not reality.unit.comes_back
        return under_way.is_broken_by_it(reality.unit) or (under_way.trial is not None and has_died)

    def _is_to_be_judged(self, under_way: UnderWay) -> bool:
        """Whether something has become of a start that is not believed yet; times of another boot say nothing."""
        trial = under_way.trial
        is_of_before = under_way.boot != boot_id()
        return trial is not None and (is_of_before or self._world_at_hand.daemon.is_to_be_judged(trial))

    async def _ready_at_the_latest(self) -> None:
        await asyncio.sleep(READY_WITHIN_S)
        self._notify.ready()

    async def _alive(self) -> None:
        """From the event loop: a loop that hangs is not alive."""
        while self._notify.watchdog_s:
            self._notify.alive()
            await asyncio.sleep(self._notify.watchdog_s / 3)

    async def _heed_the_policy(self) -> None:
        """One that is wrong shows at once: a pass that is under way may wait for what does not answer."""
        while True:
            await self._wakes.files_told()
            try:
                if self._on_disk != self._files_on_disk():
                    load_safely(self._policy_path, owners(self._paths), os.environ, self._paths)
            except NoPolicy:  # an editor may be about to put it there; the pass that follows knows
                continue
            except PolicyRefused as error:
                self._refuse(error)
                self._on_disk = self._files_on_disk()
                self._show(*self._shown, is_working=self._is_shown_working)
            except Exception as error:  # noqa: BLE001 - the boundary of a target; the pass that follows meets it, too
                self._fails(Part.POLICY, error)

    def _files_on_disk(self) -> tuple[object, ...]:
        """Another value for another policy on disk."""
        return tuple(map(identity_of, self._files_of_the_policy()))

    async def _look(self, why: frozenset[Reason]) -> float | None:
        """One pass, and when the next is due; None: only when something wakes us."""
        self._in_hand, self._requests = self._requests, []
        try:
            return await self._looked(why)
        except Exception as error:  # noqa: BLE001 - the boundary of a pass
            self._fails(Part.WHOLE, error)
            self._finishes_at = 0.0  # what it left half done is finished as after a crash
            self._show()
            self._answer_with_failure()
            return self._backed_off()

    def _fails(self, part: Part, error: Exception, record: Record | None = None) -> None:
        """Said once, shown, and tried again: the service goes on."""
        where = str(self._policy_path) if part is Part.POLICY else part.value
        failure = error if isinstance(error, AgentError) else unexpected(where, error)
        if str(failure) != str(self._failed.get(part)):
            (record or self._record)(Event.TARGET_FAILED, target=failure.where, error=str(failure))
        self._failed[part] = failure

    def _works(self, part: Part) -> None:
        self._failed.pop(part, None)

    @property
    def _failures_said(self) -> tuple[str, ...]:
        return tuple(str(failure) for failure in self._failed.values())

    def _backed_off(self) -> float:
        """When it is tried again: later each time."""
        self._failures += 1
        return self._memory.now() + again_s(self._failures)

    def _answer_with_failure(self) -> None:
        """Nobody who asked waits for ever."""
        for request in self._in_hand:
            if not request.answer.done():
                request.answer.set_result(Answer(1, (*request.said, *self._failures_said)))
        self._in_hand = []

    async def _looked(self, why: frozenset[Reason]) -> float | None:
        if Reason.RESUME in why:
            self._memory.note_resumed()
        if Reason.PROXY in why:
            self._memory.ask_anew()
        # Where nothing tells of a change, the time that has passed is a reason to look.
        is_unwatched = Reason.TIMER in why and bool(self._wakes.unwatched.directories)
        if not _REREAD.isdisjoint(why) or self._world is None or is_unwatched:
            self._reread()
        requests = self._obeyed(self._in_hand)
        await self._let_go()
        if self._is_reload_due:
            self._is_reload_due = False
            self._notify.ready_again()
        record = self._record.for_pass(secrets.token_hex(4), " ".join(sorted(why)) or "start")
        try:
            for event, facts in self._memory.end_what_is_over() if self._loaded is not None else ():
                record(event, **facts)
            self._works(Part.LAID_DOWN)
        except AgentError as error:  # a full disk: what is over is over all the same, and said the next time
            self._fails(Part.LAID_DOWN, error)
        if not self._memory.is_starting:
            await self._finished()
        try:
            again = await self._passed(record)
        except Interrupted:  # what was asked for is pending: its pass is the next, and answers these, too
            self._requests = [*requests, *self._requests]
            return self._memory.now()
        self._wakes.watch(self._watched())
        self._wakes.follow(self._dockerd)
        self._wakes.follow_neighbours(self._is_a_mac_missing)
        self._wakes.hold(*self._held())
        self._show()
        self._answer(requests)
        return self._not_later(again)

    @property
    def _is_a_mac_missing(self) -> bool:
        """A gateway may take longer to say its MAC than a look waits: then what it says is news."""
        if self._loaded is None or self._last is None or not self._loaded.policy.names_a_mac:
            return False
        behind = [one for one in self._last.seen.snapshot.interfaces if one.is_online and one.gateways]
        return bool(behind) and not any(one.gateway_macs for one in behind)

    @property
    def _dockerd(self) -> int:
        """Its process, as it was last seen: by a restart of ours after the look of the pass that made it."""
        if self._trial is not None:
            return self._trial.pid
        reality = self._last.seen.reality if self._last is not None else self._idle
        return reality.unit.pid if reality is not None else 0

    async def _let_go(self) -> None:
        """What is still being written for a policy of before, or before a pause, is not written any more."""
        outgoing, self._outgoing = self._outgoing, []
        if self._memory.is_paused and self._world is not None:
            outgoing.append(self._world)
        for world in outgoing:
            await world.clients.let_go()

    def _not_later(self, at: float | None) -> float | None:
        """What cannot be watched is looked at as often as the upstreams, and a restart of ours once more."""
        soon = max(self._memory.now() + _MOVING_S, self._finishes_at if self._is_in_vain else 0.0)
        if self._trial is not None:
            left_s = max(0.0, self._trial.until - time.monotonic())
            is_moving = self._is_to_be_judged(self._under_way)
            judged_at = soon if is_moving else self._memory.now() + left_s
            at = judged_at if at is None else min(at, judged_at)
        if self._is_broken_by(self._under_way):
            at = soon if at is None else min(at, soon)
        if not self._wakes.unwatched.directories:
            return at
        recheck_s = (self._loaded.policy if self._loaded is not None else Policy()).probe.recheck
        look_at = self._memory.now() + (recheck_s or Policy().probe.recheck)
        return look_at if at is None else min(at, look_at)

    async def _passed(self, record: Record) -> float | None:
        if self._loaded is None or self._world is None:
            return await self._idled(record)
        try:
            self._last = await reconcile(
                self._loaded.policy,
                self._world,
                record,
                choosing=self._memory,
                telling=self._diary,
                surroundings=self,
                stops_within_s=_STOPS_WITHIN_S,
            )
        except AgentError as error:
            if not await self._world.daemon.goes_down():  # else D-Bus is gone, say: nothing that anybody has to mend
                self._fails(Part.WHOLE, error, record)
            return self._backed_off()
        finally:
            if self._slow is not None:
                self._slow.cancel()
        self._works(Part.WHOLE)
        self._failures, self._last_at = 0, now_text()
        if self._last.outcome is not None or self._under_way.stage is not None:
            with contextlib.suppress(AgentError):  # it is looked at before the next pass
                self._under_way = await asyncio.to_thread(self._world.daemon.under_way)
        self._corrections.done(self._last, record)
        self._remember(self._last)
        times: list[float | None] = [self._memory.next_at(is_restart_due=_is_restart_due(self._last))]
        if _is_starting(self._last):
            times.append(self._memory.now() + _STARTING_S)
        if self._is_unfinished:
            times.append(self._finishes_at)
        return min((float(at) for at in times if at is not None), default=None)

    async def _idled(self, record: Record) -> float | None:
        """Without a policy nothing is done; what Docker runs with is shown all the same."""
        daemon = self._world_at_hand.daemon
        try:
            self._idle = reality = daemon.known() or await daemon.reality()
            is_down = reality.unit.phase is Phase.BROKEN
            self._idle_down = down(reality.unit_name, await what_keeps_it_down(reality, daemon)) if is_down else None
        except AgentError as error:
            if not await daemon.goes_down():
                self._fails(Part.WHOLE, error, record)
            return self._backed_off()
        self._works(Part.WHOLE)
        self._failures = 0
        return self._memory.now() + _STARTING_S if _is_on_its_way(reality) else None

    @property
    def _world_at_hand(self) -> World:
        """The policy's; where there is none, that of an empty one."""
        if self._world is None and self._idle_world is None:
            self._idle_world = self._make_world(self._paths, Policy())
        world = self._world or self._idle_world
        assert world is not None  # noqa: S101 - one of them was just made
        return world

    # --- what a person asks for ---------------------------------------------------------------------------------------

    def _obeyed(self, requests: Sequence[Request]) -> list[Request]:
        """Before the pass that answers them; those that cannot be obeyed have their answer already."""
        wishes = [request.wish for request in requests]
        self._memory.asked = asked_by(wishes)
        if self._is_reload_due or any(wish.forgives for wish in wishes):
            self._forgive()
        elif requests:
            self._memory.ask_anew()
        return [request for request in requests if self._is_obeyed(request)]

    def _is_obeyed(self, request: Request) -> bool:
        if request.said:  # it waits its turn
            return True
        policy = self._loaded.policy if self._loaded is not None else None
        record = self._record.for_pass("", request.wish.command.value)
        try:
            said = obey(request.wish, self._memory, policy, record)
        except AgentError as error:  # what was laid down could not be kept
            said = Answer(1, (str(error),))
        if isinstance(said, Answer):
            request.answer.set_result(said)
            return False
        request.said = said
        return True

    def _forgive(self) -> None:
        try:
            self._memory.forgive()
        except AgentError as error:  # a full disk: what was passed over is passed over still
            self._fails(Part.LAID_DOWN, error)
        self._memory.ask_anew()
        self._corrections.forget()
        NAME_SERVICE.ask_anew()
        self._lost = None

    def _answer(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.answer.done():  # who asked is gone
                continue
            if why := self._waits_its_turn(request.wish):
                if not request.said:
                    request.said = [f"waited: {why}"]
                    request.say(f"waits: {why}")
                self._requests.append(request)
            else:
                request.answer.set_result(self._answer_of(request))

    def _waits_its_turn(self, wish: Wish) -> str:
        """Until there is a choice, and a person's `apply` until Docker may be restarted; other waits are only said."""
        choice = self._last.seen.choice if self._last is not None and not self._failed else None
        if choice is not None and choice.ending is Ending.WAITING and wish.command is not Command.PAUSE:
            return choice.because
        is_due = self._last is not None and not self._failed and _is_restart_due(self._last)
        return self._memory.restart_waits() if is_due and wish.command is Command.APPLY else ""

    def _answer_of(self, request: Request) -> Answer:
        if self._refused is not None:
            return self._with_the_refusal(request, self._refused)
        if self._failed:
            return Answer(1, (*request.said, *self._failures_said))
        if self._last is None:
            missing = NoPolicy(str(self._policy_path), NO_POLICY, WRITE_ONE)
            if request.wish.needs_no_policy:
                return without_a_pass(request.said, missing)
            return Answer(1, (*request.said, str(missing)))
        return answer_of(request.said, self._last, self._memory.conditions)

    def _with_the_refusal(self, request: Request, refused: PolicyRefused) -> Answer:
        """What was asked for was done by another policy than the one that stands there."""
        wrong = wrong_lines(refused)
        if request.wish.needs_no_policy and (self._last is None or self._loaded_at is None):
            return without_a_pass(request.said, refused)
        if self._last is None or self._loaded_at is None or request.wish.command is Command.RELOAD:
            return Answer(1, (*request.said, *wrong))
        in_force = f"the policy loaded at {self._loaded_at} stays in force"
        answer = answer_of(request.said, self._last, self._memory.conditions)
        is_done = request.wish.needs_no_policy
        told = by_the_policy_of_before(answer, wrong, in_force)
        return msgspec.structs.replace(told, exit=answer.exit if is_done else 1)

    # --- what a pass asks for -----------------------------------------------------------------------------------------

    async def interrupted(self) -> Reason:
        return await self._wakes.interrupted()

    def judge(self, seen: Seen, record: Record) -> Seen:
        return self._corrections.judge(seen, self._memory.now(), record)

    def begin(self, seen: Seen) -> None:
        if not seen.acts:
            return
        self._show(Pass(seen), is_working=True)
        if seen.restarts:
            self._slow = asyncio.create_task(self._said_when_slow(seen))

    async def _said_when_slow(self, seen: Seen) -> None:
        """A restart is waited for as long as dockerd does not break; a person who looks should know of it."""
        await asyncio.sleep(SLOW_SAID_S)
        text = f"Docker has not come up for {SLOW_SAID_S:.0f} s: it is waited for, up to {SLOW_S / 60:.0f} min"
        self._show(Pass(seen), Condition(Code.ENGINE_SLOW, text, "See: journalctl -u docker -f"), is_working=True)

    def _remember(self, done: Pass) -> None:
        if done.seen.is_offline:
            self._memory.note_offline()
        upstream = done.seen.choice.upstream if done.seen.choice else None
        if upstream is not None and (self._since is None or self._since.name != upstream):
            self._since = Since(upstream, now_text())
        invocation = done.seen.reality.unit.invocation if done.seen.reality else ""
        if self._invocation and invocation not in ("", self._invocation):
            self._memory.note_docker_started(Cause.OTHERS)
        self._invocation = invocation or self._invocation
        outcome = done.outcome
        if outcome is not None and outcome.not_taken:
            self._memory.note_live_restore_not_taken(invocation, outcome.not_taken)
        if outcome is not None and outcome.otherwise is not None and done.seen.plan and done.seen.reality:
            self._memory.note_came_up_otherwise(done.seen.plan.desired, done.seen.reality, outcome.otherwise)
        condition = outcome.condition if outcome is not None else None
        if condition is not None and condition.code is Code.FOREIGN_CONFIG_BROKEN and done.seen.reality is not None:
            self._memory.note_foreign_broken(done.seen.reality.daemon_json, condition)
        if outcome is None or (outcome.restarted_s is None and not outcome.rolled_back):
            return
        self._memory.note_docker_started(Cause.AGENT)
        self._lost = condition if condition is not None and condition.code is Code.CONTAINERS_LOST else None
        self._invocation = ""  # ours: the next pass sees which it is
        if outcome.restarted_s is not None:
            self._docker = Docker(self._docker.restarts + 1, now_text(), outcome.restarted_s, outcome.containers_kept)

    def _reread(self) -> None:
        """The policy and the files it names; a wrong one is said, and the last good one stays in force."""
        try:
            self._read_policy()
        except Exception as error:  # noqa: BLE001 - the boundary of a target
            self._fails(Part.POLICY, error)
        else:
            self._works(Part.POLICY)
        self._on_disk = self._files_on_disk()

    def _read_policy(self) -> None:
        try:
            loaded = load_safely(self._policy_path, owners(self._paths), os.environ, self._paths)
        except NoPolicy:
            self._outgoing += [self._world] if self._world is not None else []
            self._loaded = self._world = self._last = self._refused = None
        except PolicyRefused as error:
            self._refuse(error)
        else:
            self._refused = None
            if self._loaded is None or self._loaded != loaded:
                self._take(loaded)

    def _refuse(self, error: PolicyRefused) -> None:
        if self._refused is None or self._refused.problems != error.problems:
            self._record(Event.POLICY_REJECTED, path=error.path, problems=error.problems)
        self._refused = error

    def _take(self, loaded: Loaded) -> None:
        policy = loaded.policy
        world = self._make_world(self._paths, policy)  # before anything says that it is in force
        self._loaded, self._loaded_at = loaded, now_text()
        self._audit_log.limit(policy.audit.keep, policy.audit.max_size)
        self._record(Event.POLICY_LOADED, path=loaded.path, warnings=loaded.warnings)
        self._outgoing += [self._world] if self._world is not None else []
        self._world = world
        self._memory.use(policy, world.prober)

    def _watched(self) -> list[Path]:
        """The policy and its files; Docker's targets; where DNS is said. The clients' files: see `clients/homes.py`."""
        paths, policy = self._paths, self._loaded.policy if self._loaded else Policy()
        targets = [paths.environment_file, paths.drop_in(policy.docker.service), paths.daemon_json]
        unit = [invocation_link(policy.docker.service)] if paths.is_system else []  # Docker starts and stops
        resolvers = [paths.below("/etc/resolv.conf"), paths.below("/run/systemd/resolve/resolv.conf")]
        return [*self._files_of_the_policy(), *targets, *resolvers, *unit]

    def _files_of_the_policy(self) -> list[Path]:
        """Those of one that is refused, too: what makes it valid may be a file that comes."""
        in_force = named(self._loaded.policy) if self._loaded is not None else ()
        refused = self._refused.named if self._refused is not None else ()
        return [self._policy_path, *map(self._paths.below, dict.fromkeys((*in_force, *refused)))]

    def _held(self) -> tuple[frozenset[LocalProxy], float]:
        """Where the upstream in use listens, if that is on this host; and how often a connection to it may be made."""
        choice = self._last.seen.choice if self._last is not None else None
        recheck_s = (self._loaded.policy if self._loaded is not None else Policy()).probe.recheck
        in_use = choice.upstream if choice is not None else None
        proxies = self._memory.on_this_host(in_use) if in_use is not None else frozenset()
        return proxies, recheck_s or Policy().probe.recheck

    def _show(self, done: Pass | None = None, *also: Condition, is_working: bool = False) -> None:
        self._shown, self._is_shown_working = (done, *also), is_working
        done = done or self._last
        policy = PolicyStatus(
            str(self._policy_path),
            self._loaded_at if self._loaded else None,
            "; ".join(self._refused.problems) if self._refused else None,
        )
        conditions = (*self._conditions(), *also)
        for name, verdict in done.seen.verdicts.items() if done is not None else ():
            if self._asked_at.get(name, (None, ""))[0] is not verdict:
                self._asked_at[name] = (verdict, now_text())
        asked = {name: at for name, (_, at) in self._asked_at.items()}
        if done is not None and (clients := clients_of(done)) is not None:
            self._clients_shown = clients
        looks = Looks(self._docker, self._since, asked, self._record.recent, self._idle, self._clients_shown)
        status = status_of(done, policy, looks, conditions, is_working=is_working)
        with contextlib.suppress(AgentError):  # a full disk: the journal goes on, and the next pass tries again
            self._status.show(status)
        self._notify.status(f"{status.state.value}: {headline(status, None)}")

    def _conditions(self) -> list[Condition]:
        found = []
        if self._refused is not None:
            found += [Condition(Code.POLICY_ERROR, text, target=self._refused.path) for text in self._refused.problems]
        elif self._loaded is None:
            found.append(Condition(Code.NO_POLICY, NO_POLICY, WRITE_ONE, str(self._policy_path)))
        found += [self._idle_down] if self._loaded is None and self._idle_down is not None else []
        found += self._memory.conditions
        found += [self._lost] if self._lost is not None else []
        found += map(self._of_failure, self._failed.values())
        if (unwatched := self._wakes.unwatched).directories:
            found.append(unwatched.condition)
        if self._is_unfinished:
            text = "what was begun with Docker is not finished: it is tried again every minute"
            found.append(Condition(Code.NOT_FINISHED, text, "See: docker-proxy-agent audit"))
        if self._record.problem:
            found.append(Condition(Code.AUDIT_UNWRITABLE, self._record.problem))
        return found

    def _of_failure(self, failure: AgentError) -> Condition:
        if not isinstance(failure, Unexpected):
            return Condition(Code.TARGET_FAILED, failure.what, failure.remedy, failure.where)
        shown = f"; what is shown is of {self._last_at}" if self._last_at is not None else ""
        return Condition(
            Code.INTERNAL_ERROR, f"{failure.what}; it is tried again{shown}", failure.remedy, failure.where
        )


def _by_another_policy(wish: Wish, mine: Path) -> Answer:
    """What a command asks for by a file of its own would be done by the service's, and undone by its next pass."""
    remedy = "Change that file, or leave --policy out; for another one stop it first: systemctl stop docker-proxy-agent"
    refusal = AgentError(
        wish.policy, f"{wish.command.value}: the running agent goes by {mine}, and nothing is done", remedy
    )
    return Answer(1, (str(refusal),))


def _is_starting(done: Pass) -> bool:
    """Whether Docker was on its way up, and not by us; or up, and did not say what it runs with."""
    return done.seen.reality is not None and _is_on_its_way(done.seen.reality)


def _is_on_its_way(reality: Reality) -> bool:
    return reality.unit.phase is Phase.STARTING or reality.unit.comes_back or reality.is_silent


def _is_restart_due(done: Pass) -> bool:
    """Whether one waits that the agent will make itself."""
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    restart = done.seen.plan.restart if done.seen.plan is not None else None
    return restart is not None and restart.when is not When.NEVER and not restarted

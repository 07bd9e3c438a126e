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
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from agent import __version__
from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.clients.accounts import NAME_SERVICE
from agent.decide.restart import When
from agent.docker.unit import SLOW_S
from agent.one_pass.memory import Memory
from agent.one_pass.ports import World
from agent.one_pass.reconcile import Interrupted, what_keeps_it_down
from agent.one_pass.seen import AnySeen, Offline, Pass, Planned, Seen
from agent.service.answers import AfterPass, OpenRequests, refusal_by_another_policy
from agent.service.corrections import Corrections
from agent.service.diary import Diary
from agent.service.display import Display
from agent.service.failures import Failures, ServicePart
from agent.service.lifetime import TOLD_TO_STOP, Lifetime
from agent.service.notify import Notify
from agent.service.passes import Passes
from agent.service.policy_in_force import PolicyInForce
from agent.service.requests import Answer, Request
from agent.service.starts import Starts
from agent.service.unfinished import Unfinished
from agent.service.watch.unwatched import Unwatched
from agent.system.clock import now_text
from agent.system.heap import give_back
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError
from agent.values.events import AgentStarted, AgentStopped
from agent.values.listening import LocalProxy
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.reason import Reason

READY_WITHIN_S: Final = 5.0  # then Docker's start is no longer held up, whatever the network does
# While our unit stops, systemd holds up Docker's start, for we are Before= it: waiting for that would never end. Docker
# then starts with what was written, and the next start of the agent looks.
_STOPS_WITHIN_S: Final = 2.0
SLOW_SAID_S: Final = 20.0  # a dockerd with many containers takes some seconds
_STARTING_S: Final = 5.0  # nothing tells when a Docker that somebody else starts is up, or answers again
_REREAD: Final = frozenset({Reason.FILES, Reason.REQUEST})  # wake-ups after which the policy is read again


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

    def follow_neighbours(self, *, are_followed: bool) -> None:
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
        self._wakes = wakes
        self._notify = notify
        audit_log = AuditLog(paths.audit_log, paths.state)
        self._record = Record(audit_log, trigger="service")
        self._memory = Memory(paths.state)
        self._memory.take_up()
        self._memory.is_starting = True
        self._diary = Diary()
        self._corrections = Corrections(paths)
        self._starts = Starts()
        self._lifetime = Lifetime(paths.state)
        self._policy = PolicyInForce(policy_path, paths, world, record=self._record, audit_log=audit_log)
        self._failures = Failures(policy_path, self._record)
        self._unfinished = Unfinished(self._failures, self._record, stops_within_s=_STOPS_WITHIN_S)
        self._passes = Passes(self._memory, self._failures, self._unfinished)
        self._display = Display(paths.status, notify, self._record)
        self._requests = OpenRequests()
        self._is_reload_due = False
        self._last: Pass | None = None
        self._last_at: str | None = None
        self._lost: Condition | None = None  # by the last restart
        self._idle: Reality | None = None  # dockerd, where no policy asks for a pass
        self._idle_down: Condition | None = None  # it is broken, and why
        self._shown: tuple[Pass | None, *tuple[Condition, ...]] = (None,)
        self._is_shown_working = False
        self._slow: asyncio.Task[None] | None = None

    def reload(self) -> None:
        """SIGHUP: read everything again, and forgive."""
        self._is_reload_due = True
        self._notify.reloading()
        self._wakes.request()

    async def ask(self, request: Request) -> Answer:
        """What a person asks for; answered when the pass that follows has ended."""
        if not self._policy.is_at(request.wish.policy):
            return refusal_by_another_policy(request.wish, self._policy.path)
        self._requests.add(request)
        self._wakes.request()
        return await request.answer

    async def run(self) -> None:
        """Until it is cancelled; everything then stays as it is."""
        self._begin()
        ready = asyncio.create_task(self._be_ready_at_the_latest())
        alive = asyncio.create_task(self._feed_the_watchdog())
        heeding = asyncio.create_task(self._heed_the_policy())
        ended = TOLD_TO_STOP
        try:
            # The unit is Before=docker.service: until READY only files are written, or the two wait for each other.
            self._memory.note_resumed()
            self._reread()
            if not await self._unfinished.recover(self._policy.world, may_restart=False):
                await self._look(frozenset())
            self._notify.ready()
            self._memory.is_starting = False
            await self._unfinished.recover(self._policy.world, may_restart=True)
            at = await self._look(frozenset())
            while True:
                give_back()  # what stays lies above what the start, or a pass, has freed
                at = await self._look(await self._wait(at))
        except Exception as error:
            ended = f"ended by an error that nobody expected: {type(error).__name__}"
            raise
        finally:
            self._notify.stopping()
            for task in (ready, alive, heeding):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._end(ended)

    # Beside the passes.

    def _begin(self) -> None:
        before = None
        with contextlib.suppress(AgentError):  # a full disk: the start is recorded all the same
            before = self._lifetime.begin()
        self._record(AgentStarted(version=__version__, before=before))

    def _end(self, how: str) -> None:
        self._record(AgentStopped(because=how))
        with contextlib.suppress(AgentError):  # a full disk: the next one takes it for killed
            self._lifetime.end(how)

    async def _be_ready_at_the_latest(self) -> None:
        await asyncio.sleep(READY_WITHIN_S)
        self._notify.ready()

    async def _feed_the_watchdog(self) -> None:
        """From the event loop: a loop that hangs is not alive."""
        while self._notify.watchdog_s:
            self._notify.alive()
            await asyncio.sleep(self._notify.watchdog_s / 3)

    async def _heed_the_policy(self) -> None:
        """One that is wrong shows at once: a pass that is under way may wait for what does not answer."""
        while True:
            await self._wakes.files_told()
            try:
                if self._policy.read_early():
                    self._show(*self._shown, is_working=self._is_shown_working)
            except Exception as error:  # noqa: BLE001 - the boundary of a target; the pass that follows meets it, too
                self._failures.note(ServicePart.POLICY, error)

    async def _wait(self, at: float | None) -> frozenset[Reason]:
        try:
            why = await self._wakes.next(at)
        except Exception as error:  # noqa: BLE001 - without what wakes us, the clock does
            self._failures.note(ServicePart.WAKES, error)
            await asyncio.sleep(self._failures.back_off() - self._memory.now())
            return frozenset({Reason.TIMER})
        self._failures.clear(ServicePart.WAKES)
        return why

    # A pass, and what comes before and after it.

    async def _look(self, why: frozenset[Reason]) -> float | None:
        """One pass, and when the next is due; None: only when something wakes us."""
        requests = self._requests.take()
        try:
            return await self._look_for(why, requests)
        except Exception as error:  # noqa: BLE001 - the boundary of a pass
            self._failures.note(ServicePart.WHOLE, error)
            self._unfinished.due_at = 0.0  # what it left half done is finished as after a crash
            self._show()
            self._requests.fail(self._failures.lines)
            return self._failures.back_off()

    async def _look_for(self, why: frozenset[Reason], requests: Sequence[Request]) -> float | None:
        if Reason.RESUME in why:
            self._memory.note_resumed()
        if Reason.PROXY in why:
            self._memory.ask_anew()
        # Where nothing tells of a change, the time that has passed is a reason to look.
        is_unwatched = Reason.TIMER in why and bool(self._wakes.unwatched.directories)
        if not _REREAD.isdisjoint(why) or self._policy.now is None or is_unwatched:
            self._reread()
        record = self._record.for_pass(secrets.token_hex(4), " ".join(sorted(why)) or "start")
        self._lay_down(requests, record)
        await self._let_go()
        if self._is_reload_due:
            self._is_reload_due = False
            self._notify.ready_again()
        if not self._memory.is_starting:
            await self._passes.finish(self._policy.world, self._reality)
        try:
            at = await self._pass(record)
        except Interrupted:  # what was asked for is pending: its pass is the next, and answers these, too
            self._requests.put_back()
            return self._memory.now()
        self._watch()
        self._show()
        self._requests.answer(self._after_pass())
        return _earliest(at, self._unfinished.next_at(self._policy.world, self._reality), self._unwatched_at())

    def _reread(self) -> None:
        """The policy and the files it names; a wrong one is said, and the last good one stays in force."""
        try:
            if self._policy.read() and (in_force := self._policy.now) is not None:
                self._memory.use(in_force.policy, in_force.world.prober)
        except Exception as error:  # noqa: BLE001 - the boundary of a target
            self._failures.note(ServicePart.POLICY, error)
        else:
            self._failures.clear(ServicePart.POLICY)
        if self._policy.now is None:
            self._last = None

    def _lay_down(self, requests: Sequence[Request], record: Record) -> None:
        policy = self._policy.now.policy if self._policy.now is not None else None
        if self._passes.lay_down(requests, policy, record, is_reload=self._is_reload_due):
            self._corrections.forget()
            NAME_SERVICE.ask_anew()
            self._lost = None

    async def _let_go(self) -> None:
        """What is still being written for a policy of before, or before a pause, is not written any more."""
        worlds = self._policy.take_outgoing()
        if self._memory.is_paused and self._policy.now is not None:
            worlds.append(self._policy.now.world)
        for world in worlds:
            await world.clients.let_go()

    async def _pass(self, record: Record) -> float | None:
        in_force = self._policy.now
        if in_force is None:
            return await self._pass_without_a_policy(record)
        try:
            self._last = last = await self._passes.make(in_force, record, choosing=self._memory, maker=self)
        except AgentError as error:
            return await self._fail(error, record)
        finally:
            if self._slow is not None:
                self._slow.cancel()
        self._last_at = now_text()
        self._corrections.note(last, record)
        self._remember(last)
        return _earliest(
            self._memory.next_at(is_restart_due=_is_restart_due(last)),
            self._starting_at(last.seen.reality),
            self._unfinished.due_at if self._unfinished.is_left else None,
        )

    async def _pass_without_a_policy(self, record: Record) -> float | None:
        """Nothing is done; what Docker runs with is shown all the same."""
        daemon = self._policy.world.daemon
        try:
            self._idle = reality = daemon.known() or await daemon.reality()
            is_down = reality.unit.phase is Phase.BROKEN
            self._idle_down = down(reality.unit_name, await what_keeps_it_down(reality, daemon)) if is_down else None
        except AgentError as error:
            return await self._fail(error, record)
        self._failures.clear(ServicePart.WHOLE)
        return self._starting_at(reality)

    async def _fail(self, error: AgentError, record: Record) -> float:
        """When it is tried again. While the system goes down D-Bus is gone, say: nothing that anybody has to mend."""
        if not await self._policy.world.daemon.goes_down():
            self._failures.note(ServicePart.WHOLE, error, record)
        return self._failures.back_off()

    def _starting_at(self, reality: Reality | None) -> float | None:
        """When to look at a Docker that was on its way up, and not by us; or up, and did not say what it runs with."""
        if reality is None:
            return None
        is_on_its_way = reality.unit.phase is Phase.STARTING or reality.unit.comes_back or reality.is_silent
        return self._memory.now() + _STARTING_S if is_on_its_way else None

    def _unwatched_at(self) -> float | None:
        """What cannot be watched is looked at as often as the upstreams."""
        return self._memory.now() + self._recheck_s if self._wakes.unwatched.directories else None

    @property
    def _recheck_s(self) -> float:
        return self._policy.policy.probe.recheck or Policy().probe.recheck

    @property
    def _reality(self) -> Reality | None:
        """The Docker that was last seen."""
        return self._last.seen.reality if self._last is not None else self._idle

    # What wakes us from now on.

    def _watch(self) -> None:
        self._wakes.watch(self._policy.watched)
        self._wakes.follow(self._dockerd)
        self._wakes.follow_neighbours(are_followed=self._is_a_mac_missing)
        self._wakes.hold(self._held, self._recheck_s)

    @property
    def _dockerd(self) -> int:
        """Its process, as it was last seen: by a restart of ours after the look of the pass that made it."""
        if (trial := self._unfinished.trial) is not None:
            return trial.pid
        return self._reality.unit.pid if self._reality is not None else 0

    @property
    def _is_a_mac_missing(self) -> bool:
        """A gateway may take longer to say its MAC than a look waits: then what it says is news."""
        if self._last is None or not self._policy.policy.names_a_mac:
            return False
        behind = [one for one in self._last.seen.snapshot.interfaces if one.is_online and one.gateways]
        return bool(behind) and not any(one.gateway_macs for one in behind)

    @property
    def _held(self) -> frozenset[LocalProxy]:
        """Where the upstream in use listens, if that is on this host."""
        seen = self._last.seen if self._last is not None else None
        return self._memory.on_this_host(seen.upstream.name) if isinstance(seen, Planned) else frozenset()

    # What a pass asks for.

    is_hasty = True

    async def interrupted(self) -> Reason:
        return await self._wakes.interrupted()

    def has_news(self, seen: Seen) -> bool:
        return self._diary.has_news(seen)

    def tell(self, seen: Seen, record: Record) -> None:
        self._diary.tell(seen, record)

    def judge(self, seen: AnySeen, record: Record) -> AnySeen:
        return self._corrections.judge(seen, self._memory.now(), record)

    def begin(self, seen: Seen, _: Record) -> None:
        self._show(Pass(seen), is_working=True)
        if seen.restarts:
            self._slow = asyncio.create_task(self._say_when_slow(seen))

    async def _say_when_slow(self, seen: Seen) -> None:
        """A restart is waited for as long as dockerd does not break; a person who looks should know of it."""
        await asyncio.sleep(SLOW_SAID_S)
        text = f"Docker has not come up for {SLOW_SAID_S:.0f} s: it is waited for, up to {SLOW_S / 60:.0f} min"
        self._show(Pass(seen), Condition(Code.ENGINE_SLOW, text, "See: journalctl -u docker -f"), is_working=True)

    # What is left of a pass.

    def _remember(self, done: Pass) -> None:
        self._display.note(done)
        if isinstance(done.seen, Offline):
            self._memory.note_offline()
        for cause in self._starts.note(done):
            self._memory.note_docker_started(cause)
        if done.has_restarted:
            self._lost = done.containers_lost
        self._note_what_was_in_vain(done)

    def _note_what_was_in_vain(self, done: Pass) -> None:
        """It is not tried again before something changes that could help."""
        seen, outcome = done.seen, done.outcome
        if outcome is None:
            return
        if outcome.not_taken:
            self._memory.note_live_restore_not_taken(seen.reality.unit.invocation, outcome.not_taken)
        if outcome.otherwise is not None and isinstance(seen, Planned):
            self._memory.note_came_up_otherwise(seen.plan.desired, seen.reality, outcome.otherwise)
        if outcome.foreign is not None:
            self._memory.note_foreign_broken(seen.reality.daemon_json, outcome.foreign)

    def _after_pass(self) -> AfterPass:
        is_due = self._last is not None and not self._failures.lines and _is_restart_due(self._last)
        return AfterPass(
            policy_path=self._policy.path,
            loaded_at=self._policy.now.at if self._policy.now is not None else None,
            refused=self._policy.refused,
            failures=self._failures.lines,
            done=self._last,
            picture=self._display.picture(self._last, self._memory.conditions),
            restart_waits=self._memory.restart_waits() if is_due else "",
        )

    def _show(self, done: Pass | None = None, *also: Condition, is_working: bool = False) -> None:
        self._shown, self._is_shown_working = (done, *also), is_working
        conditions = (*self._conditions(), *also)
        self._display.show(done or self._last, self._policy.status, conditions, self._idle, is_working=is_working)

    def _conditions(self) -> Iterator[Condition]:
        yield from self._policy.conditions()
        if self._policy.now is None and self._idle_down is not None:
            yield self._idle_down
        yield from self._memory.conditions
        if self._lost is not None:
            yield self._lost
        yield from self._failures.conditions(self._last_at)
        if (unwatched := self._wakes.unwatched).directories:
            yield unwatched.condition
        yield from self._unfinished.conditions()
        if self._record.problem:
            yield Condition(Code.AUDIT_UNWRITABLE, self._record.problem)


def _is_restart_due(done: Pass) -> bool:
    """Whether one waits that the agent will make itself."""
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    restart = done.seen.plan.restart if isinstance(done.seen, Planned) else None
    return restart is not None and restart.when is not When.NEVER and not restarted


def _earliest(*times: float | None) -> float | None:
    """None: there is none."""
    return min((at for at in times if at is not None), default=None)

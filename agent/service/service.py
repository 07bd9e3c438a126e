"""The long-running service: it waits for a wake-up, makes a pass, shows the result, and waits again.

A wake-up means only "look again". There is one pass at a time; `Wakes` keeps the wake-ups that arrive meanwhile.
An unexpected exception ends the pass it came from, never the service: wake-ups still count, the next attempt comes
later each time, and the result of the last good pass stays on display.
Not known here: what wakes the service (`watch/`), what a pass does (`one_pass/reconcile.py`), and what a choice
remembers (`one_pass/memory.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.clients.accounts import NAME_SERVICE
from agent.decide.restart import When
from agent.docker.unit import SLOW_S
from agent.one_pass.at_rest import Interrupted
from agent.one_pass.docker_now import what_cuts_it_off, what_keeps_it_down
from agent.one_pass.following import follow
from agent.one_pass.memory import Memory
from agent.one_pass.places import Places
from agent.one_pass.ports import World
from agent.one_pass.seen import AnySeen, Offline, Pass, Planned, Seen
from agent.service.answers import AfterPass, OpenRequests, refusal_by_another_policy
from agent.service.choice_file import ChoiceFile
from agent.service.corrections import Corrections
from agent.service.diary import Diary, agent_started
from agent.service.display import Display
from agent.service.failures import Failures, ServicePart
from agent.service.lifetime import TOLD_TO_STOP, LastLife, Lifetime
from agent.service.outages import Outages
from agent.service.passes import Passes
from agent.service.policy_in_use import PolicyInUse
from agent.service.ports import Wakes
from agent.service.requests import Answer, Command, Request, requested
from agent.service.starts import Starts
from agent.service.tell_the_relay import tell_the_relay
from agent.service.unfinished import Unfinished
from agent.system.alongside import alongside
from agent.system.clock import exact, now_text
from agent.system.heap import give_back
from agent.system.notify import Notify
from agent.values.asker import Asker, Via
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError
from agent.values.events import AgentStopped, Facts
from agent.values.listening import LocalProxy
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.reason import Reason

READY_WITHIN_S: Final = 5.0  # then Docker may start, whatever the network does
# The unit is Before=docker.service: systemd delays Docker's start until the unit has stopped, and waiting for Docker
# would never end. Docker then starts with what was written, and the agent checks it at its next start.
_STOPS_WITHIN_S: Final = 2.0
SHOWN_AS_SLOW_AFTER_S: Final = 20.0  # a dockerd with many containers takes several seconds
_STARTING_S: Final = 5.0  # no event reports that a Docker started by others is up, or answers again
_REREAD: Final = frozenset({Reason.FILES, Reason.REQUEST})  # wake-ups after which the policy is read again


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
        self._audit_log = audit_log = AuditLog(paths.audit_log, paths.state)
        self._record = Record(audit_log, trigger="service")
        self._memory = Memory(paths.state)
        self._memory.take_up()
        self._memory.is_starting = True
        self._places = Places(paths.state)
        self._diary = Diary(self._places)
        self._corrections = Corrections(paths)
        self._starts = Starts()
        self._outages = Outages()
        self._lifetime = Lifetime(paths.state)
        self._last_life: LastLife | None = None
        self._is_start_told = False  # it is, once the first look has ended
        self._policy = PolicyInUse(policy_path, paths, world, record=self._record, audit_log=audit_log)
        self._failures = Failures(policy_path, self._record)
        self._unfinished = Unfinished(self._failures, self._record, stops_within_s=_STOPS_WITHIN_S)
        self._passes = Passes(self._memory, self._failures, self._unfinished)
        self._display = Display(paths.status, notify, self._record)
        self._choice_file = ChoiceFile(paths.choice)
        self._requests = OpenRequests()
        self._interrupted: Record | None = None  # of the last pass, if the next one has to answer for it
        self._is_reload_due = False
        self._last: Pass | None = None
        self._last_at: str | None = None
        self._lost: Condition | None = None  # containers, by the last restart
        self._idle: Reality | None = None  # dockerd as seen without a policy
        self._idle_conditions: tuple[Condition, ...] = ()  # of that dockerd
        self._shown: tuple[Pass | None, *tuple[Condition, ...]] = (None,)
        self._is_shown_working = False
        self._slow: asyncio.Task[None] | None = None

    def reload(self) -> None:
        """SIGHUP: read the policy again, and retry whatever was given up."""
        self._is_reload_due = True
        self._notify.reloading()
        self._wakes.request()

    async def ask(self, request: Request) -> Answer:
        """Take a person's request; the answer comes when the pass that follows has ended."""
        if not self._policy.is_at(request.wish.policy):
            return refusal_by_another_policy(request.wish, self._policy.path)
        self._requests.add(request)
        self._wakes.request()
        return await request.answer

    async def run(self) -> None:
        """Serve until cancelled; stopping changes nothing on the system."""
        self._begin()
        ready = asyncio.create_task(self._be_ready_at_the_latest())
        alive = asyncio.create_task(self._feed_the_watchdog())
        heeding = asyncio.create_task(self._heed_the_policy())
        telling = asyncio.create_task(tell_the_relay(self._policy, self._wakes))
        ended = TOLD_TO_STOP
        try:
            # The unit is Before=docker.service: before READY only files are written, or each would wait for the other.
            self._memory.note_resumed()
            self._reread()
            if self._unfinished.is_there(self._policy.world):  # what is done about it has to come after the start
                self._open()
            if not await self._unfinished.recover(self._policy.world, may_restart=False):
                await self._look(frozenset())
            self._notify.ready()
            self._memory.is_starting = False
            async with alongside(self._follow()):
                await self._unfinished.recover(self._policy.world, may_restart=True)
            at = await self._look(frozenset())
            while True:
                give_back()  # what a start or a pass has freed lies below what stays, or is not freed yet
                at = await self._look(await self._wait(at))
        except Exception as error:
            ended = f"ended by an unexpected error: {type(error).__name__}"
            raise
        finally:
            self._notify.stopping()
            for task in (ready, alive, heeding, telling):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._end(ended)

    def _begin(self) -> None:
        last = None
        with contextlib.suppress(AgentError):  # a full disk: the start is still recorded
            last = self._lifetime.begin(self._audit_log.last_at)
        self._last_life, self._is_start_told = last, False
        self._policy.hold()

    def _open(self, seen: Seen | None = None, reality: Reality | None = None) -> None:
        """Record the start: with what the first look found, or, where there is none, without."""
        if not self._is_start_told:
            self._is_start_told = True
            in_use, there = self._policy.current, seen.reality if seen is not None else reality
            policy = in_use.loaded.file if in_use is not None else None
            laid_down = [*self._memory.overrides.laid_down()]
            started = agent_started(
                self._last_life, seen, there, places=self._places, policy=policy, laid_down=laid_down
            )
            self._record(started)
            self._policy.tell()
            self._diary.note_start(started, seen)
            self._record.take_lost()  # what there is to say has just been said

    def _end(self, how: str) -> None:
        self._open()
        for facts in self._outages.end("the agent stopped, so nobody was watching any more", self._memory.now()):
            self._record(facts)
        self._record(AgentStopped(because=how))
        with contextlib.suppress(AgentError):  # a full disk: the next agent will think this one was killed
            self._lifetime.end(how)

    async def _be_ready_at_the_latest(self) -> None:
        await asyncio.sleep(READY_WITHIN_S)
        self._notify.ready()

    async def _feed_the_watchdog(self) -> None:
        """On the event loop, so that a loop that hangs is not reported alive."""
        while self._notify.watchdog_s:
            self._notify.alive()
            await asyncio.sleep(self._notify.watchdog_s / 3)

    async def _heed_the_policy(self) -> None:
        """Show a wrong policy at once: the pass under way may be waiting for something that does not answer."""
        while True:
            await self._wakes.files_told()
            try:
                if self._policy.read_early():
                    self._show(*self._shown, is_working=self._is_shown_working)
            except Exception as error:  # noqa: BLE001 - the boundary of a target; the next pass meets it, too
                self._failures.note(ServicePart.POLICY, error)

    async def _wait(self, at: float | None) -> frozenset[Reason]:
        try:
            why = await self._wakes.next(at)
        except Exception as error:  # noqa: BLE001 - without wake-ups, the clock decides
            self._failures.note(ServicePart.WAKES, error)
            await asyncio.sleep(self._failures.back_off() - self._memory.now())
            return frozenset({Reason.TIMER})
        self._failures.clear(ServicePart.WAKES)
        return why

    async def _look(self, why: frozenset[Reason]) -> float | None:
        """Make a pass, and return when the next one is due; None: at the next wake-up."""
        requests = self._requests.take()
        try:
            return await self._look_for(why, requests)
        except Exception as error:  # noqa: BLE001 - the boundary of a pass
            self._open()
            self._failures.note(ServicePart.WHOLE, error)
            self._unfinished.due_at = 0.0  # the next pass finishes what it left half done, as after a crash
            self._show()
            self._requests.fail(self._failures.lines)
            return self._failures.back_off()

    async def _look_for(self, why: frozenset[Reason], requests: Sequence[Request]) -> float | None:
        if Reason.RESUME in why:
            self._memory.note_resumed()
        if Reason.PROXY in why or (Reason.RELAY in why and self._policy.world.relay.take_failure()):
            self._memory.ask_anew()
        record = self._record_of_this_pass(why, requests)
        # Changes of a file that cannot be watched are found by the timer.
        is_unwatched = Reason.TIMER in why and bool(self._wakes.unwatched.directories)
        is_told = not _REREAD.isdisjoint(why)
        if is_told or self._policy.current is None or is_unwatched or self._policy.served.is_another_wanted:
            self._reread(record)
        self._lay_down(requests, record)
        await self._let_go()
        if self._is_reload_due:
            self._is_reload_due = False
            self._notify.ready_again()
        if not self._memory.is_starting:
            async with alongside(self._follow()):
                await self._passes.finish(self._policy.world, self._reality)
        try:
            at = await self._pass(record)
        except Interrupted:  # a new request is pending: the next pass answers these, too
            self._requests.put_back()
            self._interrupted = record
            return self._memory.now()
        self._watch()
        self._show()
        self._requests.answer(self._after_pass())
        moves_at = self._memory.now() if self._policy.served.may_move else None
        unfinished_at = self._unfinished.next_at(self._policy.world, self._reality)
        return _earliest(at, unfinished_at, self._unwatched_at(), moves_at)

    async def _follow(self) -> None:
        """What is finished or undone may be a restart of Docker."""
        if (in_use := self._policy.current) is not None:
            await follow(in_use.policy, in_use.world, self._memory)

    def _record_of_this_pass(self, why: frozenset[Reason], requests: Sequence[Request]) -> Record:
        """A pass that answers a wish has the id of the one in which it was obeyed, and is that person's."""
        before, self._interrupted = self._interrupted, None
        asker, pass_id = (before.by, before.pass_id) if before is not None and before.by is not None else (None, "")
        asker = Asker(Via.SIGNAL) if self._is_reload_due else asker
        for request in requests:  # the last one counts
            asker, pass_id = request.asker, request.pass_id or pass_id
        trigger = " ".join(sorted(why)) or "start"
        record = self._record.for_pass(pass_id or secrets.token_hex(4), trigger, asker)
        if self._is_reload_due:
            record.asked_by(Asker(Via.SIGNAL), Command.RELOAD.value)(requested(Command.RELOAD.value))
        return record

    def _reread(self, record: Record | None = None) -> None:
        """Read the policy and the files it names; a wrong one is reported, and the last good one stays in use."""
        try:
            if self._policy.read(record) and (in_use := self._policy.current) is not None:
                self._memory.use(in_use.policy, in_use.world.prober)
                self._places.kept = in_use.policy.audit.places
        except Exception as error:  # noqa: BLE001 - the boundary of a target
            self._failures.note(ServicePart.POLICY, error)
        else:
            self._failures.clear(ServicePart.POLICY)
        if self._policy.current is None:
            self._last = None

    def _lay_down(self, requests: Sequence[Request], record: Record) -> None:
        policy = self._policy.current.policy if self._policy.current is not None else None
        if self._passes.lay_down(requests, policy, record, is_reload=self._is_reload_due):
            self._corrections.forget()
            NAME_SERVICE.ask_anew()
            self._lost = None

    async def _let_go(self) -> None:
        """Stop writes that are under way for an earlier policy, or from before a pause."""
        worlds = self._policy.take_outgoing()
        if self._memory.is_paused and self._policy.current is not None:
            worlds.append(self._policy.current.world)
        for world in worlds:
            await world.clients.let_go()

    async def _pass(self, record: Record) -> float | None:
        in_use = self._policy.current
        if in_use is None:
            return await self._pass_without_a_policy(record)
        try:
            self._last = last = await self._passes.make(in_use, record, choosing=self._memory, maker=self)
        except AgentError as error:
            return await self._fail(error, record)
        finally:
            if self._slow is not None:
                self._slow.cancel()
        self._last_at = now_text()
        self._corrections.note(last, record)
        self._remember(last, record)
        return _earliest(
            self._memory.next_at(is_restart_due=_is_restart_due(last)),
            self._starting_at(last.seen.reality),
            self._unfinished.due_at if self._unfinished.is_left else None,
            in_use.world.relay.next_at,
            in_use.world.pacs.next_at,
        )

    async def _pass_without_a_policy(self, record: Record) -> float | None:
        """Change nothing, but still show what Docker runs with."""
        daemon = self._policy.world.daemon
        try:
            self._idle = reality = daemon.known() or await daemon.reality()
            is_down = reality.unit.phase is Phase.BROKEN
            is_cut_off = what_cuts_it_off(reality, self._policy.world.relay)
            is_kept_down = down(reality.unit_name, await what_keeps_it_down(reality, daemon)) if is_down else None
            self._idle_conditions = tuple(one for one in (is_kept_down, is_cut_off) if one is not None)
        except AgentError as error:
            return await self._fail(error, record)
        self._failures.clear(ServicePart.WHOLE)
        self._open(reality=reality)
        if self._diary.tell_of_docker(reality, record):
            self._tell_once_more(())
        for facts in self._outages.end("there is no policy: nothing is probed", self._memory.now()):
            record(facts)
        return self._starting_at(reality)

    async def _fail(self, error: AgentError, record: Record) -> float:
        """When to try again. A failure while the system goes down is not reported: there is nothing to fix."""
        self._open()
        if not await self._policy.world.daemon.goes_down():
            self._failures.note(ServicePart.WHOLE, error, record)
        return self._failures.back_off()

    def _starting_at(self, reality: Reality | None) -> float | None:
        """When to look again at a Docker that others are starting, or that does not report its settings yet."""
        if reality is None:
            return None
        is_unclear = reality.is_silent or reality.is_place_unknown
        is_on_its_way = reality.unit.phase is Phase.STARTING or reality.unit.comes_back or is_unclear
        return self._memory.now() + _STARTING_S if is_on_its_way else None

    def _unwatched_at(self) -> float | None:
        """Files that cannot be watched are looked at as often as the upstreams are probed."""
        return self._memory.now() + self._recheck_s if self._wakes.unwatched.directories else None

    @property
    def _recheck_s(self) -> float:
        return self._policy.policy.probe.recheck or Policy().probe.recheck

    @property
    def _reality(self) -> Reality | None:
        """Docker as it was last seen."""
        return self._last.seen.reality if self._last is not None else self._idle

    def _watch(self) -> None:
        """Set what wakes the service from now on."""
        self._wakes.watch(self._policy.watched)
        self._wakes.follow(self._dockerd)
        self._wakes.follow_neighbours(are_followed=self._is_a_mac_missing)
        self._wakes.hold(self._held, self._recheck_s)
        relay = self._policy.world.relay
        self._wakes.heed_relay(relay.folder, relay.state)

    @property
    def _dockerd(self) -> int:
        """Its process as last seen; a restart of ours comes after the look of the same pass."""
        if (trial := self._unfinished.trial) is not None:
            return trial.pid
        return self._reality.process if self._reality is not None else 0

    @property
    def _is_a_mac_missing(self) -> bool:
        """A gateway may report its MAC only after the look has stopped waiting; its answer should then wake us."""
        if self._last is None or not self._policy.policy.names_a_mac:
            return False
        behind = [one for one in self._last.seen.snapshot.interfaces if one.is_online and one.gateways]
        return bool(behind) and not any(one.gateway_macs for one in behind)

    @property
    def _held(self) -> frozenset[LocalProxy]:
        """Where the upstream in use listens, if it is on this host."""
        seen = self._last.seen if self._last is not None else None
        return self._memory.on_this_host(seen.upstream.name) if isinstance(seen, Planned) else frozenset()

    # From here to `begin`: what a pass asks of its maker (`one_pass/ports.py`).

    is_hasty = True

    async def interrupted(self) -> Reason:
        return await self._wakes.interrupted()

    def has_news(self, seen: Seen) -> bool:
        return self._diary.has_news(seen)

    def tell(self, seen: Seen, record: Record) -> None:
        self._memory.note_looked()
        self._open(seen)
        if self._diary.tell(seen, record, is_paused=self._memory.overrides.is_paused):
            network = "" if isinstance(seen, Offline) else seen.recognised.network.name
            self._tell_once_more(self._policy.world.relay.once_more(network))

    def _tell_once_more(self, of_the_relay: Sequence[Facts]) -> None:
        """What a log that was lost said of a person's orders, an outage and the relay: whoever asks now did not ask."""
        for facts in (*self._memory.overrides.laid_down(), *self._outages.once_more(), *of_the_relay):
            self._record(facts)

    def judge(self, seen: AnySeen, record: Record) -> AnySeen:
        return self._corrections.judge(seen, self._memory.now(), record)

    def begin(self, seen: Seen, _: Record) -> None:
        self._tell_others(seen)
        self._show(Pass(seen), is_working=True)
        if seen.restarts:
            self._slow = asyncio.create_task(self._show_when_slow(seen))

    async def _show_when_slow(self, seen: Seen) -> None:
        """The agent waits for dockerd as long as it does not crash; a person who looks at the status should know."""
        await asyncio.sleep(SHOWN_AS_SLOW_AFTER_S)
        text = f"Docker has not come up for {SHOWN_AS_SLOW_AFTER_S:.0f} s; the agent waits up to {SLOW_S / 60:.0f} min"
        self._show(Pass(seen), Condition(Code.ENGINE_SLOW, text, "See: journalctl -u docker -f"), is_working=True)

    def _remember(self, done: Pass, record: Record) -> None:
        self._display.note(done)
        self._tell_others(done.seen)
        now, wall = self._memory.now(), exact(time.time())
        said = self._outages.note(done, now, wall, says_where=self._places.says_where, recheck_s=self._recheck_s)
        for facts in said:
            record(facts)
        if (counters := self._record.so_far.counters) is not None:
            counters.note_open(self._outages.open_s(now))
        if isinstance(done.seen, Offline):
            self._memory.note_offline()
        for cause in self._starts.note(done):
            self._memory.note_docker_started(cause)
        if done.has_restarted:
            self._lost = done.containers_lost
        self._note_what_was_in_vain(done)

    def _tell_others(self, seen: Seen) -> None:
        if not self._memory.is_paused:
            is_pinned = self._memory.pinned is not None
            self._choice_file.show(seen, self._policy.policy.no_proxy, is_pinned=is_pinned)

    def _note_what_was_in_vain(self, done: Pass) -> None:
        """Do not repeat what failed before something changes that could help."""
        seen, outcome = done.seen, done.outcome
        if outcome is None:
            return
        if outcome.not_taken:
            self._memory.past_restarts.note_live_restore_not_taken(seen.reality.unit.invocation, outcome.not_taken)
        if outcome.otherwise is not None and isinstance(seen, Planned):
            self._memory.past_restarts.note_came_up_otherwise(seen.plan.desired, seen.reality, outcome.otherwise)
        if outcome.foreign is not None:
            self._memory.past_restarts.note_foreign_broken(seen.reality.daemon_json, outcome.foreign)

    def _after_pass(self) -> AfterPass:
        is_due = self._last is not None and not self._failures.lines and _is_restart_due(self._last)
        return AfterPass(
            policy_path=self._policy.path,
            loaded_at=self._policy.current.at if self._policy.current is not None else None,
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
        if self._policy.current is None:
            yield from self._idle_conditions
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
    """Whether a restart is pending that the agent will make by itself."""
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    restart = done.seen.plan.restart if isinstance(done.seen, Planned) else None
    return restart is not None and restart.when is not When.NEVER and not restarted


def _earliest(*times: float | None) -> float | None:
    """None: no time is given."""
    return min((at for at in times if at is not None), default=None)

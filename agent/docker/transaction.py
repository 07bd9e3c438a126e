"""The transaction: write, restart, verify; or everything as it was before, and Docker up.

    keep originals → intent recorded → journal → write → restart → verify → done, or roll back

A restart that containers must survive is made with live-restore on (`live_restore.py`).

Not known here: what is to be written, and whether a restart is due (`decide/plan.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import msgspec
from msgspec import UNSET

from agent.audit.record import Record
from agent.decide import foreign, probation
from agent.decide.effective import effective, in_force
from agent.decide.plan import Plan
from agent.decide.restart import Busy, Restarting, hang_on_docker, holding, is_keeping, why_ended
from agent.docker.confirming import LEAVES_WITHIN_S, REPORTS_WITHIN_S, CameUpOtherwise, Confirming, in_words
from agent.docker.counted import CountedContainers, containers_lost, count, count_again
from agent.docker.journal import Journal, Stage, UnderWay
from agent.docker.last_good import LastGood
from agent.docker.live_restore import LiveRestore, NotTaken
from agent.docker.marks import Marks
from agent.docker.news import started, stopped
from agent.docker.originals import OriginalFile, daemon_originals
from agent.docker.ports import Look, Supervisor, nothing
from agent.docker.quarantine import Quarantine
from agent.docker.roll_back import UnitsUp, bring_units_up, let_go, put_back_and_start, put_files_back
from agent.docker.theirs import refusal, theirs
from agent.system.files import Changed, read_file
from agent.system.text_files import read_text, write_text
from agent.targets import daemon_json, environment
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import GOES_DOWN, Cause, FileFault, Reality, UnitState
from agent.values.errors import AgentError, ByOthers, EngineSilent, NotInForce, NotTried, RestartFailed, UnitFailed
from agent.values.events import (
    Adopted,
    DockerRestarted,
    RestartDeferred,
    SettingsRolledBack,
    SettingsWritten,
    TargetNotWritten,
)
from agent.values.policy import Method
from agent.values.settings import DIRECT, Settings, Texts, agrees


class Applied(msgspec.Struct, frozen=True):
    """How a transaction ended."""

    written: tuple[str, ...] = ()
    restarted_s: float | None = None  # how long the restart took until dockerd reported the settings
    containers_kept: int = 0  # that survived the restart
    containers_lost: tuple[str, ...] = ()  # that should have
    taken_along: tuple[str, ...] = ()  # units
    deferred: str = ""  # why a restart that is due was not made
    goes_down: bool = False  # the system is: what was under way stays in the journal
    not_taken: str = ""  # why this dockerd did not switch live-restore on
    left: tuple[str, ...] = ()  # what could not be finished, and is tried again
    rolled_back: str = ""  # why everything is as it was before
    runs_with: Settings | None = None  # what it came up with, if that is not what was written
    otherwise: Condition | None = None  # and why
    condition: Condition | None = None
    foreign: FileFault | None = None  # why dockerd would not start with daemon.json, without ours

    @property
    def stands(self) -> bool:
        """Whether what was written stays, even if containers were lost."""
        is_said_only = self.condition is None or self.condition.code is Code.CONTAINERS_LOST
        return not self.rolled_back and (is_said_only or self.otherwise is not None)

    @property
    def is_failed(self) -> bool:
        return bool(self.rolled_back) or (self.condition is not None and self.condition.code.is_failure)


class StartedMeanwhile(AgentError):
    """What forbids a restart came while it was prepared. Nothing has been restarted."""


class Transaction:
    """One plan carried out on one Docker."""

    def __init__(  # noqa: PLR0913 - each of them is named, or one Docker
        self,
        supervisor: Supervisor,
        look: Look,
        state: Path,
        record: Record,
        *,
        unit: str = "",
        reports_within_s: float = REPORTS_WITHIN_S,
        leaves_within_s: float = LEAVES_WITHIN_S,
    ) -> None:
        self._supervisor = supervisor
        self._look = look
        self._state = state
        self._originals = daemon_originals(state)
        self._marks = Marks(state)
        self._record = record
        self._confirming = Confirming(look, reports_within_s=reports_within_s, leaves_within_s=leaves_within_s)
        self._journal = Journal(state, unit)
        self._live_restore = LiveRestore(supervisor, look, self._journal)
        self._last_good = LastGood(state)
        self._quarantine = Quarantine(state)
        self._due = ""  # why the restart of this plan is due
        self._name = unit  # of the unit, in the records
        self._on_trial: UnderWay | None = None  # the restart before this one, while it is on trial

    async def carry_out(self, plan: Plan, reality: Reality) -> Applied:
        """Write, restart, verify. AgentError: nothing was changed, or all of it was put back."""
        self._due, self._name = plan.due, reality.unit_name
        under_way = self._journal.under_way()
        self._on_trial = under_way if under_way.trial is not None and under_way.bracket is None else None
        self._last_good.keep_if_seen(reality)
        others = theirs(reality, self._state)
        is_written_into = _is_written_into(plan, reality, others)
        broken = await refusal(others, reality) if plan.restarts or is_written_into else None
        if broken is not None and (is_written_into or self._on_trial is not None):
            return self._defer_for_the_file((), broken)
        try:
            await self._write(plan, reality)
        except AgentError:
            await self._undo()
            raise
        written = tuple(edit.path for edit in plan.edits)
        if written or plan.needs_daemon_reload:
            self._record(SettingsWritten(method=UNSET if plan.method is None else plan.method, targets=written))
        if plan.starts_docker:
            return await self._start_without_ours(written)
        if plan.restart is None:
            return Applied(written)
        if broken is not None:
            return self._defer_for_the_file(written, broken)
        if not plan.restarts:
            return self._defer(written, plan.restart.because, waits=plan.restart.waits)
        return await self._restart(plan, plan.restart, reality, written)

    async def _restart(self, plan: Plan, due: Restarting, reality: Reality, written: tuple[str, ...]) -> Applied:
        # In any case: which units depend on Docker has to be known before they go down with it.
        refused, met = await asyncio.gather(self._lift_unless_on_trial(), self._look.busy_now(reality))
        if late := _late(due, reality, met) or await self._would_end(due, met):
            return await self._put_off(written, late)
        keeps = is_keeping(met)
        try:
            if due.keeps_containers:
                await self._live_restore.on(Path(reality.daemon_json_path))
                keeps = True
        except NotTaken as failure:
            if await self._supervisor.goes_down():
                return self._leave_to_the_next_boot(written)
            if not due.overrules:
                waits = await self._put_off(written, str(failure))
                return msgspec.structs.replace(waits, not_taken=str(failure))
        are_met = keeps or (met.engine is not None and met.engine.containers_running > 0)
        counted = await count(self._look, met.engine, are_kept=keeps) if are_met else CountedContainers()
        try:
            file = await self._as_judged(plan, reality)
            self._journal.enter(Stage.RESTARTING, met.hanging)
        except AgentError:
            await self._undo()
            raise
        began = time.monotonic()
        instead: CameUpOtherwise | None = None
        try:
            now = await self._confirming.until_in_force(plan, await self._unit_restarted(due, refused))
            noted = self._note_success(plan, now, file, met.hanging)
        except CameUpOtherwise as found:
            now, instead, noted = found.reality, found, self._keep_for_the_next_start(found.reality.unit.invocation)
        except (StartedMeanwhile, ByOthers, NotTried, RestartFailed, NotInForce, UnitFailed) as failure:
            return await self._act_on_failure(plan, reality, failure, written=written, counted=counted)
        # First of all: units and containers may take long, and an agent that is stopped meanwhile has said it.
        self._record(started(now, cause=Cause.AGENT))
        applied = await self._finish(
            plan, due, instead, counted, took_s=time.monotonic() - began, along=met.hanging, noted=noted
        )
        return msgspec.structs.replace(applied, written=written)

    async def _finish(  # noqa: PLR0913 - named at its one call
        self,
        plan: Plan,
        due: Restarting,
        instead: CameUpOtherwise | None,
        counted: CountedContainers,
        *,
        took_s: float,
        along: tuple[str, ...],
        noted: tuple[str, ...],
    ) -> Applied:
        """Docker is up. Units and live-restore as they were, the containers counted, and all of it recorded."""
        units = await bring_units_up(self._supervisor, self._journal)
        left = (*units.said, *noted, *await self._live_restore.off())
        kept = await count_again(self._look, counted)
        self._record(
            DockerRestarted(
                unit=self._name,
                took_s=round(took_s, 2),
                due=f"{plan.due}; {instead}" if instead else plan.due,
                allowed=due.allowed,
                containers_kept=len(kept.running),
                containers_lost=kept.lost,
                containers_stopped=kept.stopped,
                taken_along=along,
                started_again=units.started,
                left=(*left, *kept.said),
            )
        )
        return Applied(
            restarted_s=took_s,
            containers_kept=len(kept.running),
            containers_lost=kept.lost,
            taken_along=along,
            left=left,
            runs_with=instead.runs_with if instead else None,
            otherwise=instead.condition if instead else None,
            condition=containers_lost(kept.lost, along) or (instead.condition if instead else None),
        )

    async def _unit_restarted(self, due: Restarting, refused: NotTried | None) -> UnitState:
        """`refused`: why the start limit could not be lifted."""
        if self._on_trial is not None:
            refused, self._on_trial = await self._lift_on_trial(self._on_trial)
        if refused is not None:
            raise refused
        return await self._supervisor.restart(self._count_at_last if due.spares_containers else nothing)

    async def _count_at_last(self) -> None:
        """A container may have been started while files and journal were written."""
        counted = await count(self._look, None, are_kept=False)
        started = _started_at_last(len(counted.running)) if counted.running else "; ".join(counted.said)
        if started:
            raise StartedMeanwhile(self._name, started)

    async def _lift_unless_on_trial(self) -> NotTried | None:
        """Beside the look, for both take a while and somebody waits. What is refused counts where Docker restarts.

        Not while the restart before this one is on trial: this one may still be put off, and the trial counts restarts.
        """
        return await self._lift_start_limit() if self._on_trial is None else None

    async def _lift_on_trial(self, under_way: UnderWay) -> tuple[NotTried | None, UnderWay]:
        """systemd counts restarts from 0 again. The trial, if it is resumed, goes on from where its count was."""
        try:
            before = await self._supervisor.state()
        except UnitFailed as error:
            return NotTried(error.where, error.what, error.remedy), under_way
        refused = await self._lift_start_limit()
        trial = under_way.trial
        if refused is not None or trial is None:
            return refused, under_way
        trial = msgspec.structs.replace(trial, restarts=trial.restarts - before.restarts)
        return None, msgspec.structs.replace(under_way, trial=trial)

    async def _lift_start_limit(self) -> NotTried | None:
        try:
            await self._supervisor.lift_start_limit()
        except NotTried as failure:
            return failure
        return None

    async def _act_on_failure(
        self, plan: Plan, reality: Reality, failure: AgentError, *, written: tuple[str, ...], counted: CountedContainers
    ) -> Applied:
        """What a restart that failed calls for."""
        if isinstance(failure, StartedMeanwhile):
            return await self._wait_for_what_started(written, failure)
        if await self._supervisor.goes_down():  # then Docker goes down anyway
            return self._leave_to_the_next_boot(written)
        if isinstance(failure, ByOthers):
            return await self._leave_to_others(written, failure)
        if isinstance(failure, NotTried):
            await self._undo()
            raise failure
        return await self._roll_back(plan, reality, failure, counted)

    async def _wait_for_what_started(self, written: tuple[str, ...], meanwhile: StartedMeanwhile) -> Applied:
        """What is written waits for the next start, as if the restart had had to wait from the first."""
        try:
            self._journal.wait()
        except AgentError:
            await self._undo()
            raise
        units = await bring_units_up(self._supervisor, self._journal)  # an earlier restart may have left some down
        return await self._put_off(written, "; ".join([meanwhile.what, *units.said]))

    def _leave_to_the_next_boot(self, written: tuple[str, ...]) -> Applied:
        """The journal stays and says how far this came: the next boot starts Docker, and the next agent reads it."""
        return msgspec.structs.replace(self._defer(written, GOES_DOWN), goes_down=True)

    def _keep_for_the_next_start(self, start: str) -> tuple[str, ...]:
        """The files are as right as we can make them. They count for the next start; this one did not read them."""
        try:
            self._journal.wait(start)
        except AgentError as error:  # Docker runs all the same
            return (str(error),)
        return ()

    async def _would_end(self, due: Restarting, met: Reality) -> str:
        """Which container has started since the plan was made and would not survive; '' if none. Asked of old ones."""
        if not due.spares_running or met.engine is None or not met.engine.ends_auto_removed:
            return ""
        try:
            return why_ended(met.engine, await self._look.running())
        except (EngineSilent, UnitFailed) as error:
            return str(error)

    async def _as_judged(self, plan: Plan, reality: Reality) -> str | None:
        """The daemon.json that dockerd is about to read. Changed if the plan was made for another one."""
        if reality.daemon_json_fault is not None:
            return None
        path = reality.daemon_json_path
        judged = next((edit.after for edit in plan.edits if edit.path == path), reality.daemon_json)
        bracket = self._journal.under_way().bracket
        found = await asyncio.to_thread(read_text, Path(path))
        if found != judged and (bracket is None or found != bracket.opened(judged)):
            raise Changed(Path(path))
        return found

    async def _start_without_ours(self, written: tuple[str, ...]) -> Applied:
        """Our keys kept dockerd from starting, and are gone. What it then runs with is for the next pass."""
        self._journal.forget()  # nothing may put them back
        self._journal.enter(Stage.ROLLING_BACK)  # the next agent, too, has to start a Docker that is down
        try:
            await self._supervisor.start()
        except AgentError as failure:
            said = f"Docker is down: it does not start without the agent's settings either: {failure}"
            condition = Condition(Code.ENGINE_DOWN, said)
            return Applied(written, condition=condition)
        finally:
            self._journal.forget()
        with contextlib.suppress(AgentError):  # else the next pass records it
            if (now := await self._look.reality(DIRECT)).unit.is_running:
                self._record(started(now, cause=Cause.AGENT))
        self._record(DockerRestarted(unit=self._name, due="this Docker does not support proxies in daemon.json"))
        return Applied(written)

    async def _undo(self) -> None:
        """Put the files back: nothing was restarted yet."""
        left = await put_files_back(self._supervisor, self._journal)
        try:
            self._journal.note_units_up()
            self._journal.settle()
        except AgentError as error:  # the caller raises the error that led here
            left = (*left, str(error))
        left = (*left, *await self._live_restore.off())
        if self._on_trial is not None:
            try:
                self._journal.resume(self._on_trial)
            except AgentError as error:  # as above
                left = (*left, str(error))
        if left:
            self._record(TargetNotWritten(error="; ".join(left)))

    async def _put_off(self, written: tuple[str, ...], because: str) -> Applied:
        """Do not make a restart that was due now. If the one before it is on trial, that is not forgotten."""
        if self._on_trial is not None:
            await self._undo()
            written = ()
        return self._defer(written, because)

    def _defer_for_the_file(self, written: tuple[str, ...], fault: FileFault) -> Applied:
        said = foreign.condition(fault)
        return msgspec.structs.replace(self._defer(written, str(said)), condition=said, foreign=fault)

    def _defer(self, written: tuple[str, ...], because: str, *, waits: str = "") -> Applied:
        self._record(RestartDeferred(unit=self._name, due=self._due, waits=waits or because))
        return Applied(written, deferred=because)

    async def _write(self, plan: Plan, reality: Reality) -> None:
        is_its_place = any(edit.path == reality.daemon_json_path for edit in plan.edits)
        if (plan.method is Method.DAEMON_JSON or is_its_place) and isinstance(reality.started_with, Texts):
            # Once it is written, the file no longer shows what this dockerd was started with.
            self._marks.set(reality.unit.invocation, reality.started_with)
        runs_with_it = plan.effective is not None and agrees(plan.effective, plan.desired)
        # That no restart is planned is not enough: none is while the service starts, whatever is written.
        is_what_is_tried = self._on_trial is not None and plan.restart is None and runs_with_it
        if in_force(reality) is not None and not is_what_is_tried:
            self._journal.forget()  # dockerd runs with the files as they are: a roll-back goes back to these
        for edit in plan.edits:
            found = read_file(Path(edit.path))
            mode = found.mode if found else None
            self._keep_original(edit.path, OriginalFile.of(edit.path, edit.before, mode), reality)
            is_shared = edit.path == reality.daemon_json_path
            start = reality.unit.invocation
            self._journal.note(edit.path, edit.before, edit.after, mode, is_shared=is_shared, start=start)
            await asyncio.to_thread(write_text, Path(edit.path), edit.before, edit.after, edit.mode)
        if plan.needs_daemon_reload:
            await self._supervisor.daemon_reload()

    def _keep_original(self, path: str, original: OriginalFile, reality: Reality) -> None:
        if self._originals.of(path) is not None:
            return
        self._originals.keep(path, original)
        theirs = daemon_json.texts(original.text) if path == reality.daemon_json_path else Texts()
        if theirs != Texts():
            self._record(Adopted(targets=(path,), found=theirs.meaning()))
        if path == reality.environment_file_path:  # from now on it overrides what others set elsewhere
            for layer in reality.beaten:
                self._record(Adopted(targets=(layer.path,), found=environment.texts(layer.values).meaning()))

    def _note_success(self, plan: Plan, now: Reality, file: str | None, along: tuple[str, ...]) -> tuple[str, ...]:
        """dockerd runs with what was written; after a minute on trial it is believed. What could not be noted.

        `file`: daemon.json just before the restart. If it has changed since, it is not known which one dockerd read.
        """
        try:
            if now.is_systemd:
                until = time.monotonic() + probation.LASTS_S
                trial = probation.Trial(now.unit.invocation, now.unit.restarts, until, now.unit.pid, units=along)
                self._journal.try_out(trial)
            else:  # without systemd a crash looks like a stop
                self._journal.forget()
            if plan.method is Method.DAEMON_JSON:
                self._marks.set(now.unit.invocation, daemon_json.texts(file))
            bracket = self._journal.under_way().bracket
            if now.daemon_json == file and now.daemon_json_fault is None:
                text = bracket.closed(file) if bracket else file
                self._last_good.keep(now.daemon_json_path, text, now.unit.invocation, on_trial=now.is_systemd)
        except (AgentError, TextRefused) as error:  # Docker is right all the same
            return (str(error),)
        return ()

    async def _leave_to_others(self, written: tuple[str, ...], meanwhile: ByOthers) -> Applied:
        """What is written is right for the next start. The next pass looks whether dockerd runs with it."""
        self._journal.enter(Stage.WRITING)
        units = await bring_units_up(self._supervisor, self._journal)
        left = await self._live_restore.off()
        return self._defer(written, "; ".join([str(meanwhile), *units.said, *left]))

    async def _roll_back(
        self, plan: Plan, reality: Reality, failure: AgentError, counted: CountedContainers
    ) -> Applied:
        """Stop, files back, start, look once. Docker is started whatever fails on the way: we never leave it down."""
        said = [str(failure)]
        try:
            await self._tell_failure(reality, failure)
            said += await self._quarantine_and_stop(plan)
            back = await put_back_and_start(self._supervisor, self._journal, self._last_good)
        except asyncio.CancelledError:
            await let_go(self._supervisor, self._journal)
            raise
        said += back.said
        runs = await self._runs_afterwards(plan, is_ours=back.is_ours)
        if back.acquits and isinstance(failure, RestartFailed):
            said += self._lift_quarantine(plan)
        units, kept = UnitsUp(), counted
        if back.is_up:
            units = await bring_units_up(self._supervisor, self._journal)
            said += [*units.said, *await self._live_restore.off()]
            kept = await count_again(self._look, counted)
        said += [*runs, *kept.said]
        because = "; ".join(said)
        self._record(
            SettingsRolledBack(
                unit=self._name,
                failed_settings=plan.desired,
                because=because,
                containers_kept=len(kept.running),
                containers_lost=kept.lost,
                containers_stopped=kept.stopped,
                started_again=units.started,
            )
        )
        condition = containers_lost(kept.lost) if back.is_up else down(reality.unit_name)
        if back.goes_down:
            condition = None
        return Applied(rolled_back=because, containers_lost=kept.lost, goes_down=back.goes_down, condition=condition)

    def _lift_quarantine(self, plan: Plan) -> tuple[str, ...]:
        try:
            self._quarantine.remove(plan.desired)
        except AgentError as error:  # then these settings are not tried for a while
            return (str(error),)
        return ()

    async def _quarantine_and_stop(self, plan: Plan) -> tuple[str, ...]:
        """The first half of a roll-back. What failed; the second half follows all the same."""
        said: list[str] = []
        try:
            self._quarantine.add(plan.desired)
        except AgentError as error:
            said.append(str(error))
        try:
            self._journal.enter(Stage.ROLLING_BACK)
        except AgentError as error:
            said.append(str(error))
        try:
            await self._supervisor.stop()
        except AgentError as error:  # what cannot be stopped may still be started
            said.append(str(error))
        return tuple(said)

    async def _tell_failure(self, before: Reality, failure: AgentError) -> None:
        """Record what came of the restart that is rolled back: a Docker that came up otherwise, or none."""
        now = self._confirming.last_look
        try:
            unit = now.unit if now is not None else await self._supervisor.state()
        except UnitFailed:  # systemd may be in the middle of an update
            return
        if unit.is_running and unit.invocation != before.unit.invocation:
            seen = now or msgspec.structs.replace(before, unit=unit, engine=None)
            self._record(started(seen, cause=Cause.AGENT, because=str(failure)))
        elif not unit.is_running:
            self._record(stopped(self._name, unit, cause=Cause.AGENT, because=str(failure)))

    async def _runs_afterwards(self, plan: Plan, *, is_ours: bool) -> tuple[str, ...]:
        """Also recorded, if it is the agent that has started it."""
        try:
            now = await self._look.reality(plan.desired)
        except AgentError as error:  # what happened must be recorded all the same
            return (str(error),)
        if not now.unit.is_running:
            return ()
        if is_ours and not self._record.so_far.says_start(now.unit_name, now.unit.invocation):
            self._record(started(now, cause=Cause.AGENT))
        running = effective(now)
        if running is None:
            return ("Docker was started again and does not report its settings yet",)
        if plan.effective is not None and agrees(running, plan.effective):
            return ("Docker runs with the old settings again",)
        return (f"Docker runs again, with {in_words(running)}",)


def _late(due: Restarting, planned: Reality, met: Reality) -> str:
    """What has started since the plan was made and forbids the restart; '' if nothing."""
    if due.spares_containers and met.engine is None and met.silence:
        return met.silence
    if due.spares_containers and met.engine is not None and met.engine.containers_running:
        return _started_at_last(met.engine.containers_running)
    units = tuple(unit for unit in holding(met) if unit not in planned.hanging)
    return f"{hang_on_docker(units)}: started at the last moment" if due.spares_units and units else ""


def _started_at_last(containers: int) -> str:
    return f"{Busy(containers)}, started at the last moment"


def _is_written_into(plan: Plan, reality: Reality, theirs: str | None) -> bool:
    """Whether we are about to put something into daemon.json. Taking ours out is always allowed."""
    return any(edit.path == reality.daemon_json_path and edit.after != theirs for edit in plan.edits)

"""An agent died in the middle of a transaction: the next one finishes or undoes what it left.

    nothing under way          nothing
    writing                    the pass decides: each file is whole, and what dockerd runs with is looked at
    writing, Docker broke      rolled back if Docker was started after the write, by whomever: it read what was written
    … because of others' file  left alone: it would not start without our keys either
    … and crashes in a loop    as "writing, Docker broke", once systemd has restarted it twice
    restarting, Docker broke   rolled back: files back, Docker started
    restarting, else           as writing: a Docker that did not break was not stopped by us
    tried, Docker died of it   rolled back, as if it had not come up
    tried, else                watched until it is believed (`decide/probation.py`)
    rolling back               files back; Docker is started if it is down, for we stopped it
    verified                   live-restore as it was

In each of these, units that hung on Docker and went down with it are started again once Docker runs.
A new boot starts Docker by itself: one that is merely stopped there was not stopped by us. One that broke there was
started with unverified settings and is rolled back, too. A trial gets a whole new minute in that boot.
Not known here: who holds the lock, and what is desired.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.audit.record import Record
from agent.decide.effective import in_force, prospective
from agent.decide.probation import CRASHES, LASTS_S, Trial, TrialState, judged, went_on
from agent.decide.urgent import can_be_asked
from agent.docker.journal import Journal, Stage, UnderWay
from agent.docker.last_good import LastGood
from agent.docker.live_restore import LiveRestore
from agent.docker.news import started, stopped
from agent.docker.ports import Look, Supervisor
from agent.docker.quarantine import Quarantine
from agent.docker.roll_back import UnitsUp, bring_units_up, let_go, put_back_and_start, put_files_back
from agent.docker.theirs import refusal, theirs
from agent.system.process_start import boot_id
from agent.system.until import until
from agent.targets.refused import TextRefused
from agent.values.dockerd import Cause, Phase, Reality, UnitState
from agent.values.errors import AgentError, UnitFailed
from agent.values.events import DockerRestarted, SettingsRolledBack
from agent.values.settings import DIRECT, Settings

_SETTLES_S: Final = 300.0  # as long as a restart of our own would have been watched
_LOOK_AGAIN_S: Final = 0.1
_STARTED_WITH_IT: Final = "Docker was started with settings that were waiting for a restart, but did not come up"
_UNRECORDED: Final = "an agent began it, and ended before it could record it"
_DIED: Final = (
    f"Docker came up with the new settings, but within {LASTS_S:.0f} s it was down or had crashed {CRASHES} times"
)


async def recover(  # noqa: PLR0913 - named at its one call
    supervisor: Supervisor,
    look: Look,
    state: Path,
    record: Record,
    *,
    is_systemd: bool,
    may_restart: bool,
    unit: str = "",
) -> bool:
    """Whoever holds the lock calls this before anything else. A second call finds nothing left to do.

    `may_restart`: whether Docker may be asked and started already. Without it only files are put back, and this has to
    be called again with it. Returns whether nothing may be written until then, for a write would forget that it was us
    who took Docker down. `unit`: this Docker's; what is under way for another one is not looked at. AgentError if the
    journal cannot be parsed.
    """
    recovery = _Recovery(supervisor, look, state, record, unit=unit)
    return await recovery.recover(is_systemd=is_systemd, may_restart=may_restart)


class _Recovery:
    """Of one Docker."""

    def __init__(self, supervisor: Supervisor, look: Look, state: Path, record: Record, *, unit: str) -> None:
        self._supervisor = supervisor
        self._look = look
        self._state = state
        self._record = record
        self._name = unit
        self._journal = journal = Journal(state, unit)
        self._last_good = LastGood(state)
        self._quarantine = Quarantine(state)
        self._live_restore = LiveRestore(supervisor, look, journal)

    async def recover(self, *, is_systemd: bool, may_restart: bool) -> bool:
        """Whether nothing may be written."""
        found = await asyncio.to_thread(self._journal.under_way)
        if found.stage is not None and await self._supervisor.goes_down():  # the next boot finds it as it is
            return found.forbids_writing
        is_rolling_back = found.stage is Stage.ROLLING_BACK
        left = await put_files_back(self._supervisor, self._journal) if is_rolling_back else ()
        if found.stage is None or not may_restart:
            return found.forbids_writing
        if found.trial is not None:
            return await self._judge_trial(found, found.trial)
        unit = await _settled(self._supervisor)
        is_down = _is_down_by_us(found, unit, is_systemd=is_systemd)
        if is_down and found.stage is Stage.WRITING and await self._is_broken_by_theirs():
            is_down = False  # the pass says why Docker is down, as it does where nothing waits for a restart
        said = (_STARTED_WITH_IT if found.is_broken_by_it(unit) else _ended_in(found.stage), *left)
        if not is_down:
            await self._leave_to_others(found, found.stage, said)
            return False
        if await self._supervisor.goes_down():
            return True
        is_ours = found.stage is not Stage.WRITING and found.boot == boot_id()
        self._tell_down(unit, Cause.AGENT if is_ours else Cause.OTHERS, said[0])
        await self._roll_back(found.stage, said)
        return False

    async def _leave_to_others(self, found: UnderWay, stage: Stage, said: Sequence[str]) -> None:
        """Docker runs, or others took it down: the pass decides, and a new boot starts Docker by itself."""
        await self._leave_to_the_boot(found)
        if stage is Stage.ROLLING_BACK:
            await asyncio.to_thread(self._journal.settle)
        units = await self._bring_back_what_went_along()
        await self._leave_to_the_pass(found, stage, units)
        if stage is Stage.ROLLING_BACK:
            self._record_roll_back(said, units)

    async def _leave_to_the_boot(self, found: UnderWay) -> None:
        """A new boot starts units by itself, except those that need a Docker that broke in it."""
        if found.boot != boot_id():
            await asyncio.to_thread(self._journal.note_units_up)

    async def _leave_to_the_pass(self, found: UnderWay, stage: Stage, units: UnitsUp) -> None:
        reality = await self._look.reality(DIRECT)
        await asyncio.to_thread(note_first_run, self._journal, reality, found.units)
        unit, known = reality.unit, self._record.so_far.of(reality.unit_name).start
        # In another boot the boot has started it; the start that was there before is no restart.
        is_another = unit.is_running and unit.invocation not in (found.start, known)
        is_made = is_another and found.boot == boot_id() and stage in {Stage.RESTARTING, Stage.ROLLING_BACK}
        if is_made:
            self._tell_start(reality, Cause.AGENT, _UNRECORDED)
        if is_made and stage is Stage.RESTARTING:
            self._record(
                DockerRestarted(
                    unit=reality.unit_name,
                    due=_UNRECORDED,
                    started_again=units.started,
                    left=units.said,
                )
            )
        if self._journal.under_way().forbids_writing:
            await asyncio.to_thread(self._journal.enter, Stage.WRITING)

    async def _bring_back_what_went_along(self) -> UnitsUp:
        """Once Docker is up: the units that hang on it, and live-restore as it was. What failed."""
        units = await bring_units_up(self._supervisor, self._journal)
        return UnitsUp(units.started, (*units.said, *await self._live_restore.off()))

    async def _judge_trial(self, found: UnderWay, trial: Trial) -> bool:
        """After a restart that is on trial. Whether nothing may be written."""
        if not await self._follow(found, trial):
            await self._leave_to_the_boot(found)
            await self._bring_back_what_went_along()
            return False
        if await self._supervisor.goes_down():  # and Docker with it
            return True
        await asyncio.to_thread(self._last_good.forsake)
        self._tell_down(await self._supervisor.state(), Cause.OTHERS, _DIED)
        await self._roll_back(Stage.TRIED, (_DIED,), (*trial.units, *await self._active()))
        return False

    async def _active(self) -> tuple[str, ...]:
        """The units that depend on Docker now: a roll-back stops them with it, even if Docker broke."""
        try:
            return await self._supervisor.hanging(await self._supervisor.state())
        except UnitFailed:  # Docker is started whatever happens
            return ()

    async def _follow(self, found: UnderWay, trial: Trial) -> bool:
        """How a dockerd that came up with what was written has done so far. Whether it is to be rolled back."""
        if found.boot == boot_id():
            unit = await self._supervisor.state()
            verdict = judged(trial, unit, time.monotonic())
            await self._tell_start_on_trial(trial, unit)
        else:  # this boot has started it a second time, and that start is on trial for a minute, too
            unit, now = await _settled(self._supervisor), time.monotonic()
            trial = Trial(unit.invocation, 0, (unit.since or now) + LASTS_S, unit.pid, units=trial.units)
            verdict = TrialState.FAILED if unit.phase is Phase.BROKEN else judged(trial, unit, now)
            if verdict is TrialState.WATCH:
                await asyncio.to_thread(self._journal.try_out, trial)
        if verdict is TrialState.FAILED:
            return True
        if verdict is TrialState.CAME_BACK:
            reality = await self._look.reality(DIRECT)
            await asyncio.to_thread(self._journal.try_out, went_on(trial, unit))
            if reality.unit.is_running:
                self._tell_start(reality, Cause.OTHERS, "it crashed after the agent's restart, and systemd started it")
        elif verdict is not TrialState.WATCH:
            await self._end_trial(trial, unit)
        return False

    async def _tell_start_on_trial(self, trial: Trial, unit: UnitState) -> None:
        """An agent that was killed just after the restart could not record it."""
        is_first = trial.crashes == 0 and unit.is_running and unit.invocation == trial.invocation
        if is_first and self._record.so_far.of(self._name).start != unit.invocation:
            reality = await self._look.reality(DIRECT)
            if reality.unit.invocation == unit.invocation:
                self._tell_start(reality, Cause.AGENT, _UNRECORDED)

    async def _end_trial(self, trial: Trial, unit: UnitState) -> None:
        """The minute is over, or others ended it. What was written meanwhile has not been tried."""
        if unit.is_running:
            reality = await self._look.reality(DIRECT)
            if unit.invocation != trial.invocation and in_force(reality) is None:
                return  # down again, or silent: until it is known what this start runs with, the trial is not over
            await asyncio.to_thread(self._journal.wait, trial.invocation)
            # A client wakes a Docker that crashed, through its socket, and what the crash took along stays down.
            await asyncio.to_thread(note_first_run, self._journal, reality, trial.units)
        elif unit.phase is Phase.BROKEN and not unit.is_stuck_in_stop:  # it broke after the minute: that had passed
            await asyncio.to_thread(self._journal.forget)
        else:
            await asyncio.to_thread(self._journal.wait, unit.invocation)
        if self._journal.under_way().trial is None:
            await asyncio.to_thread(self._last_good.believe)

    async def _roll_back(self, stage: Stage, said: Sequence[str], along: Sequence[str] = ()) -> None:
        """What Docker did not come up with is quarantined, unless it does not come up with the old settings either."""
        # While rolling back the old files may be back already: they did not fail.
        failed = await self._quarantine_what_stands() if stage is not Stage.ROLLING_BACK else None
        said = list(said)
        try:
            self._journal.enter(Stage.ROLLING_BACK, along)
        except AgentError as error:  # Docker is started whatever happens
            said.append(str(error))
        try:
            back = await put_back_and_start(self._supervisor, self._journal, self._last_good)
        except asyncio.CancelledError:
            await let_go(self._supervisor, self._journal)
            raise
        if back.acquits and failed is not None:
            with contextlib.suppress(AgentError):  # then these settings are not tried for a while
                await asyncio.to_thread(self._quarantine.remove, failed)
        if back.is_ours:
            with contextlib.suppress(AgentError):  # else the next pass records it
                if (reality := await self._look.reality(DIRECT)).unit.is_running:
                    self._tell_start(reality, Cause.AGENT)
        units = await self._bring_back_what_went_along() if back.is_up else UnitsUp()
        self._record_roll_back((*said, *back.said), units)

    def _record_roll_back(self, said: Sequence[str], units: UnitsUp) -> None:
        because = "; ".join(dict.fromkeys((*said, *units.said)))
        self._record(SettingsRolledBack(unit=self._name, because=because, started_again=units.started))

    def _tell_start(self, reality: Reality, cause: Cause, because: str = "") -> None:
        """Unless a pass has seen it first."""
        if not self._record.so_far.says_start(reality.unit_name, reality.unit.invocation):
            self._record(started(reality, cause=cause, because=because))

    def _tell_down(self, unit: UnitState, cause: Cause, because: str) -> None:
        """Unless a pass has seen it first."""
        if not unit.is_running and not self._record.so_far.says_down(self._name):
            self._record(stopped(self._name, unit, cause=cause, because=because))

    async def _quarantine_what_stands(self) -> Settings | None:
        """Docker did not come up with what the files say: the next pass tries something else. What that was."""
        try:
            failed = prospective(await self._look.reality(DIRECT))
            if can_be_asked(failed):
                await asyncio.to_thread(self._quarantine.add, failed)
                return failed
        except (AgentError, TextRefused):  # then the next pass tries it once more
            pass
        return None

    async def _is_broken_by_theirs(self) -> bool:
        """Whether dockerd would not start without our keys either: then what others wrote is to blame."""
        try:
            reality = await self._look.reality(DIRECT)
            return await refusal(theirs(reality, self._state), reality) is not None
        except AgentError:  # if that is not known, our keys are taken out and Docker is started
            return False


def _ended_in(stage: Stage) -> str:
    return f"the agent ended in the middle of a transaction ({stage.value})"


def note_first_run(journal: Journal, reality: Reality, along: Sequence[str] = ()) -> None:
    """Note that dockerd now runs with what was written for a later restart.

    That start, whoever made it, is on trial for a minute, too. What dockerd ran with all along is believed.
    `along`: units that hung on it before this start. A roll-back starts them again, and those that hang on it now.
    AgentError: not noted.
    """
    under_way, unit = journal.under_way(), reality.unit
    is_open = under_way.stage in {Stage.WRITING, Stage.RESTARTING} and bool(under_way.notes)
    if not is_open or under_way.bracket is not None or in_force(reality) is None:
        return
    now = time.monotonic()
    until = (unit.since or now) + LASTS_S
    if under_way.has_read_it(unit) and reality.is_systemd and now < until:
        units = tuple(dict.fromkeys((*along, *reality.hanging)))
        journal.try_out(Trial(unit.invocation, unit.restarts, until, unit.pid, units=units))
    else:
        journal.forget()


def _is_down_by_us(found: UnderWay, unit: UnitState, *, is_systemd: bool) -> bool:
    is_this_boot = found.boot == boot_id()
    if unit.phase is Phase.BROKEN:
        is_tried = found.stage in {Stage.RESTARTING, Stage.ROLLING_BACK} or found.is_broken_by_it(unit)
        return is_tried or (found.stage is Stage.WRITING and not is_this_boot)
    if unit.phase is not Phase.STOPPED or not is_this_boot:
        return False
    # Without systemd a dockerd that broke looks just like one that was stopped.
    return found.stage is Stage.ROLLING_BACK or (found.stage is Stage.RESTARTING and not is_systemd)


async def _settled(supervisor: Supervisor) -> UnitState:
    """Its state once it is neither starting nor stopping: systemd goes on with a restart whose caller died."""
    return await until(supervisor.state, _is_settled, within_s=_SETTLES_S, every_s=_LOOK_AGAIN_S)


def _is_settled(unit: UnitState) -> bool:
    return not unit.has_job and unit.phase not in (Phase.STARTING, Phase.STOPPING)

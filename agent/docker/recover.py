"""What an agent that ended in the middle of a transaction has left, finished or undone by the next one.

    nothing under way          nothing
    writing                    the pass decides: each file is whole, and what dockerd runs with is looked at
    writing, Docker broke      rolled back if it was started after that, by whomever: it has read what was written
    … of somebody else's file  left alone: it would not start without ours, either
    … and only ever crashes    the same, as soon as systemd has started it twice by itself
    restarting, Docker broke   rolled back: files back, Docker started
    restarting, else           as writing: whoever stopped a Docker that did not break was not us
    tried, Docker died of it   rolled back, as if it had not come up
    tried, else                watched until it is believed (`decide/probation.py`)
    rolling back               files back; Docker is started if it does not run, for it was us who stopped it
    verified                   live-restore as it was

Units that hung on Docker and went down with it are started again, in each of these, once Docker runs.
Another boot starts what it starts: a Docker that is only stopped there was not stopped by us; one that broke there was
started with what nobody had verified, and is rolled back, too. What was tried has its minute anew in that boot.
Not known here: who holds the lock, and what is desired.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from agent.audit.record import Record
from agent.decide.effective import effective, in_force, prospective
from agent.decide.probation import CRASHES, LASTS_S, Trial, TrialState, judged, went_on
from agent.decide.urgent import can_be_asked
from agent.docker.journal import Journal, Stage, UnderWay
from agent.docker.last_good import LastGood
from agent.docker.live_restore import LiveRestore
from agent.docker.quarantine import Quarantine
from agent.docker.theirs import refusal, theirs
from agent.system.process_start import boot_id
from agent.system.until import until
from agent.targets.refused import TextRefused
from agent.values.dockerd import GOES_DOWN, Engine, Phase, Reality, UnitState
from agent.values.errors import AgentError, ByOthers, RestartFailed, UnitFailed
from agent.values.events import Event
from agent.values.settings import DIRECT, Settings

_SETTLES_S: Final = 300.0  # as long as a restart of our own would have been watched
_LOOK_AGAIN_S: Final = 0.1
_STARTED_WITH_IT: Final = "Docker was started with what was written for a later restart, and did not come up"
_DIED: Final = f"Docker came up with it, and within {LASTS_S:.0f} s it was down or had crashed {CRASHES} times"


class Supervisor(Protocol):
    """What a recovery asks of who runs Docker. RestartFailed and UnitFailed say what went wrong."""

    async def state(self) -> UnitState: ...
    async def hanging(self, state: UnitState) -> tuple[str, ...]:
        """The units that are stopped with it, and are active now."""
        ...

    async def goes_down(self) -> bool: ...
    async def daemon_reload(self) -> None: ...
    async def reload(self) -> None: ...
    async def stop(self) -> None: ...
    async def start(self) -> UnitState: ...
    async def start_unwatched(self) -> None: ...
    async def start_again(self, units: Sequence[str]) -> tuple[str, ...]: ...


class Look(Protocol):
    """Looks at dockerd."""

    async def reality(self, desired: Settings) -> Reality: ...
    async def engine(self) -> Engine | None: ...


async def recover(  # noqa: PLR0913 - named at its one call
    supervisor: Supervisor, look: Look, state: Path, record: Record, *, is_systemd: bool, may_restart: bool
) -> bool:
    """Before anything else, by who holds the lock; again: nothing is left to do.

    `may_restart`: whether Docker may be asked and started already; without it only files are put back, and it has to
    be called once more with it. Whether nothing may be written until then: a write would forget whose Docker it was
    that went down. AgentError if the journal cannot be understood.
    """
    journal = Journal(state)
    found = await asyncio.to_thread(journal.under_way)
    if found.stage is not None and await supervisor.goes_down():  # the next boot finds it as it is
        return found.forbids_writing
    left = await files_back(supervisor, journal) if found.stage is Stage.ROLLING_BACK else ()
    if found.stage is None or not may_restart:
        return found.forbids_writing
    if found.trial is not None:
        return await _tried(supervisor, look, state, record, found, found.trial)
    back = Back((), is_up=True)
    unit = await _settled(supervisor)
    is_down = _is_down_by_us(found, unit, is_systemd)
    if is_down and found.stage is Stage.WRITING and await _is_broken_by_theirs(look, state):
        is_down = False  # the pass says why it is down, as where nothing waits
    said = [_STARTED_WITH_IT if found.is_broken_by_it(unit) else _ended_in(found.stage), *left]
    if is_down and await supervisor.goes_down():
        return True
    if is_down:
        back = await _rolled_back(supervisor, look, state, journal, found.stage)
        said += back.said
    else:
        await _left_to_the_boot(journal, found)
        if found.stage is Stage.ROLLING_BACK:
            await asyncio.to_thread(journal.settle)
    units = await _what_went_along(supervisor, look, journal) if back.is_up else Units()
    if not is_down:
        await _left_to_the_pass(look, journal, record, found.stage, units)
    if is_down or found.stage is Stage.ROLLING_BACK:
        record(Event.ROLLED_BACK, because="; ".join(dict.fromkeys((*said, *units.said))), started_again=units.started)
    return False


async def _left_to_the_boot(journal: Journal, found: UnderWay) -> None:
    """Another boot starts what it starts; but nothing that needs a Docker that broke in it."""
    if found.boot != boot_id():
        await asyncio.to_thread(journal.units_are_up)


async def _what_went_along(supervisor: Supervisor, look: Look, journal: Journal) -> Units:
    """What has to be as it was once Docker is up: units that hang on it, and live-restore; what failed of it."""
    units = await units_up(supervisor, journal)
    return Units(units.started, (*units.said, *await LiveRestore(supervisor, look, journal).off()))


async def _tried(  # noqa: PLR0913, PLR0917 - named at its one call
    supervisor: Supervisor, look: Look, state: Path, record: Record, found: UnderWay, trial: Trial
) -> bool:
    """After a restart that is not believed yet. Whether nothing may be written."""
    journal = Journal(state)
    if not await _died_of_it(supervisor, look, state, record, found, trial):
        await _left_to_the_boot(journal, found)
        await _what_went_along(supervisor, look, journal)
        return False
    if await supervisor.goes_down():  # and Docker with it
        return True
    await asyncio.to_thread(LastGood(state).forsake)
    along = (*trial.units, *await _active(supervisor))
    back = await _rolled_back(supervisor, look, state, journal, Stage.TRIED, along)
    units = await _what_went_along(supervisor, look, journal) if back.is_up else Units()
    because = "; ".join(dict.fromkeys((_DIED, *back.said, *units.said)))
    record(Event.ROLLED_BACK, because=because, started_again=units.started)
    return False


async def _active(supervisor: Supervisor) -> tuple[str, ...]:
    """What hangs on Docker now: the stop of a roll-back takes it along, also from a Docker that broke."""
    try:
        return await supervisor.hanging(await supervisor.state())
    except UnitFailed:  # Docker is started whatever happens
        return ()


async def _died_of_it(  # noqa: PLR0913, PLR0917 - named at its one call
    supervisor: Supervisor,
    look: Look,
    state: Path,
    record: Record,
    found: UnderWay,
    trial: Trial,
) -> bool:
    """What became of a dockerd that came up with what was written, so far; whether it is to be rolled back."""
    journal = Journal(state)
    if found.boot == boot_id():
        unit = await supervisor.state()
        verdict = judged(trial, unit, time.monotonic())
    else:  # this boot's start with it is the second try, and has its minute, too
        unit, now = await _settled(supervisor), time.monotonic()
        trial = Trial(unit.invocation, 0, (unit.since or now) + LASTS_S, unit.pid, units=trial.units)
        verdict = TrialState.FAILED if unit.phase is Phase.BROKEN else judged(trial, unit, now)
        if verdict is TrialState.WATCH:
            await asyncio.to_thread(journal.try_out, trial)
    if verdict is TrialState.FAILED:
        return True
    if verdict is TrialState.CAME_BACK:
        running = effective(await look.reality(DIRECT))
        await asyncio.to_thread(journal.try_out, went_on(trial, unit))
        record(Event.DOCKER_STARTED, settings=running, because="it crashed after our restart, and systemd started it")
    elif verdict is not TrialState.WATCH:
        await _ended(look, state, trial, unit)
    return False


async def _ended(look: Look, state: Path, trial: Trial, unit: UnitState) -> None:
    """The minute is over, or somebody else has ended it. What was written meanwhile has not been tried."""
    journal = Journal(state)
    if unit.is_running:
        reality = await look.reality(DIRECT)
        await asyncio.to_thread(journal.wait, trial.invocation)
        await asyncio.to_thread(first_run, journal, reality)
    elif unit.phase is Phase.BROKEN and not unit.is_stuck_in_stop:  # after the minute: it had stood
        await asyncio.to_thread(journal.forget)
    else:
        await asyncio.to_thread(journal.wait, unit.invocation)
    if journal.under_way().trial is None:
        await asyncio.to_thread(LastGood(state).believe)


async def _rolled_back(  # noqa: PLR0913, PLR0917 - four of them are one Docker
    supervisor: Supervisor, look: Look, state: Path, journal: Journal, stage: Stage, along: Sequence[str] = ()
) -> Back:
    """What Docker did not come up with is passed over, unless it does not come up with what it had before, either."""
    failed = await _quarantined(look, state) if stage is not Stage.ROLLING_BACK else None  # else they are back already
    said = []
    try:
        journal.enter(Stage.ROLLING_BACK, along)
    except AgentError as error:  # Docker is started whatever happens
        said.append(str(error))
    try:
        back = await back_and_up(supervisor, journal, LastGood(state))
    except asyncio.CancelledError:
        await let_go(supervisor, journal)
        raise
    if back.acquits and failed is not None:
        with contextlib.suppress(AgentError):  # then they are passed over for a while
            await asyncio.to_thread(Quarantine(state).remove, failed)
    return msgspec.structs.replace(back, said=(*said, *back.said))


async def _quarantined(look: Look, state: Path) -> Settings | None:
    """Docker did not come up with what stands there: the next pass tries something else. What that was."""
    try:
        failed = prospective(await look.reality(DIRECT))
        if can_be_asked(failed):
            await asyncio.to_thread(Quarantine(state).add, failed)
            return failed
    except (AgentError, TextRefused):  # it is tried once more, then
        pass
    return None


def _ended_in(stage: Stage) -> str:
    return f"the agent ended in the middle of it ({stage.value})"


def first_run(journal: Journal, reality: Reality) -> None:
    """Of a dockerd that runs with what was written for a later restart.

    Whoever made it, such a start has its minute, too; what it ran with all along is believed. AgentError: not noted.
    """
    under_way, unit = journal.under_way(), reality.unit
    is_open = under_way.stage in {Stage.WRITING, Stage.RESTARTING} and bool(under_way.notes)
    if not is_open or under_way.bracket is not None or in_force(reality) is None:
        return
    now = time.monotonic()
    until = (unit.since or now) + LASTS_S
    if under_way.has_read_it(unit) and reality.is_systemd and now < until:
        journal.try_out(Trial(unit.invocation, unit.restarts, until, unit.pid))
    else:
        journal.forget()


def _is_down_by_us(found: UnderWay, unit: UnitState, is_systemd: bool) -> bool:
    is_this_boot = found.boot == boot_id()
    if unit.phase is Phase.BROKEN:
        is_tried = found.stage in {Stage.RESTARTING, Stage.ROLLING_BACK} or found.is_broken_by_it(unit)
        return is_tried or (found.stage is Stage.WRITING and not is_this_boot)
    if unit.phase is not Phase.STOPPED or not is_this_boot:
        return False
    # Without systemd a dockerd that broke looks just like one that was stopped.
    return found.stage is Stage.ROLLING_BACK or (found.stage is Stage.RESTARTING and not is_systemd)


async def _is_broken_by_theirs(look: Look, state: Path) -> bool:
    """Whether dockerd would not start without ours, either: somebody else has started it with what he wrote."""
    try:
        reality = await look.reality(DIRECT)
        return await refusal(theirs(reality, state), reality) is not None
    except AgentError:  # what is ours is put back, and Docker started, whatever happens
        return False


async def _left_to_the_pass(look: Look, journal: Journal, record: Record, stage: Stage, units: Units) -> None:
    """Docker runs, or is away by somebody else's doing."""
    reality = await look.reality(DIRECT)
    running = in_force(reality)
    await asyncio.to_thread(first_run, journal, reality)
    if running is not None and stage is Stage.RESTARTING:
        record(
            Event.DOCKER_RESTARTED,
            settings=running,
            because="by an agent that ended before it could say so",
            started_again=units.started,
            left=units.said,
        )
    if journal.under_way().forbids_writing:
        await asyncio.to_thread(journal.enter, Stage.WRITING)


async def _settled(supervisor: Supervisor) -> UnitState:
    """Its state once it neither starts nor stops: systemd goes on with a restart whose caller died."""
    return await until(supervisor.state, _is_settled, within_s=_SETTLES_S, every_s=_LOOK_AGAIN_S)


def _is_settled(unit: UnitState) -> bool:
    return not unit.has_job and unit.phase not in (Phase.STARTING, Phase.STOPPING)


async def files_back(supervisor: Supervisor, journal: Journal) -> tuple[str, ...]:
    """What could not be put back, and why. systemd looks again: the drop-in may be of an earlier pass."""
    try:
        left = await asyncio.to_thread(journal.put_back)
    except AgentError as error:  # the journal cannot be read any more, and Docker is started whatever happens
        left = (str(error),)
    try:
        await supervisor.daemon_reload()
    except UnitFailed as error:
        return (*left, str(error))
    return left


class Units(msgspec.Struct, frozen=True):
    """What became of the units that went down with Docker."""

    started: tuple[str, ...] = ()  # again, by us
    said: tuple[str, ...] = ()  # what failed


async def units_up(supervisor: Supervisor, journal: Journal) -> Units:
    """Those that systemd has not started again by itself are, once, if Docker runs: they would wake it."""
    started, said = tuple[str, ...](), tuple[str, ...]()
    try:
        units = journal.under_way().units
        phase = (await supervisor.state()).phase if units else Phase.STARTING
        if phase is Phase.STARTING:  # later
            return Units()
        if phase is Phase.RUNNING:
            started = await supervisor.start_again(units)
    except AgentError as error:  # one was masked or removed meanwhile, say; the others are started
        said = (f"what hangs on Docker was not all started again: {error}",)
    try:
        journal.units_are_up()
    except AgentError as error:  # it is looked at again
        said = (*said, str(error))
    return Units(started, said)


class Back(msgspec.Struct, frozen=True):
    """How a roll-back ended."""

    said: tuple[str, ...]  # what failed on the way
    is_up: bool  # or away by somebody else's doing
    acquits: bool = False  # Docker did not start with the old settings, either: it was not the new ones
    goes_down: bool = False  # the system does: the next boot starts it


async def back_and_up(supervisor: Supervisor, journal: Journal, last_good: LastGood) -> Back:
    """The second half of a roll-back: files back, Docker started whatever failed on the way.

    Where it does not come up at all, the journal stays: it is tried again.
    """
    said, is_up, acquits = await files_back(supervisor, journal), True, False
    said = (*said, *await _down(supervisor))
    try:
        await supervisor.start()
    except ByOthers as meanwhile:
        said = (*said, str(meanwhile))
    except (RestartFailed, UnitFailed) as error:
        if await supervisor.goes_down():
            return Back((*said, GOES_DOWN), is_up=False, goes_down=True)
        said = (*said, f"Docker does not start with the old settings, either: {error}")
        back = await _up_with_the_last_good(supervisor, journal, last_good)
        said, is_up, acquits = (*said, *back.said), back.is_up, True
    if is_up:
        try:
            await asyncio.to_thread(journal.settle)
        except AgentError as error:  # Docker is as it is; it is looked at again
            said = (*said, str(error))
    return Back(said, is_up, acquits)


async def let_go(supervisor: Supervisor, journal: Journal) -> None:
    """We are told to stop, now: the files back, and systemd goes on without us. The next agent looks after it."""
    await files_back(supervisor, journal)
    with contextlib.suppress(AgentError):
        await supervisor.start_unwatched()
        await supervisor.start_again(journal.under_way().units)


async def _down(supervisor: Supervisor) -> tuple[str, ...]:
    """Systemd brings it up again after a crash, and by its socket any client does: then it has not read what is back.

    Why it could not be stopped.
    """
    try:
        if (await supervisor.state()).phase in {Phase.RUNNING, Phase.STARTING}:
            await supervisor.stop()
    except AgentError as error:  # Docker is started whatever happens
        return (str(error),)
    return ()


async def _up_with_the_last_good(supervisor: Supervisor, journal: Journal, last_good: LastGood) -> Back:
    """What somebody else wrote keeps dockerd from starting: it comes up with what it last came up with."""
    try:
        bracket = journal.under_way().bracket
        put_back = await asyncio.to_thread(last_good.put_back, bracket.opened if bracket else None)
        if not put_back:
            return Back(("there is no other daemon.json that it ever started with",), is_up=False)
        await supervisor.stop()  # else systemd's own next try counts as a failure of ours
        await supervisor.start()
    except (AgentError, TextRefused) as error:
        return Back((f"nor with its last good daemon.json: {error}",), is_up=False)
    return Back((put_back,), is_up=True)

"""A roll-back: the files as they were, Docker started, and the units that went down with it.

Docker is started whatever fails on the way: it is never left down because of the agent. What failed is returned, not
raised. Not known here: why something is rolled back (`transaction.py`, and after a crash `recover.py`).
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from agent.docker.journal import Journal
from agent.docker.last_good import LastGood
from agent.docker.ports import Supervisor
from agent.targets.refused import TextRefused
from agent.values.dockerd import GOES_DOWN, Phase
from agent.values.errors import AgentError, ByOthers, RestartFailed, UnitFailed


class RolledBack(msgspec.Struct, frozen=True):
    """How a roll-back ended."""

    said: tuple[str, ...]  # what failed on the way
    is_up: bool  # or others have taken it down
    acquits: bool = False  # Docker did not start with the old settings either: the new ones are not to blame
    goes_down: bool = False  # the system is: the next boot starts Docker
    is_ours: bool = False  # we started it


async def put_back_and_start(supervisor: Supervisor, journal: Journal, last_good: LastGood) -> RolledBack:
    """If Docker does not come up at all, the journal stays, and this is tried again."""
    said, is_up, acquits, is_ours = await put_files_back(supervisor, journal), True, False, True
    said = (*said, *await _take_down(supervisor))
    try:
        await supervisor.start()
    except ByOthers as meanwhile:
        said, is_ours = (*said, str(meanwhile)), False
    except (RestartFailed, UnitFailed) as error:
        if await supervisor.goes_down():
            return RolledBack((*said, GOES_DOWN), is_up=False, goes_down=True)
        said = (*said, f"Docker does not start with the old settings either: {error}")
        back = await _start_with_the_last_good(supervisor, journal, last_good)
        said, is_up, acquits = (*said, *back.said), back.is_up, True
    if is_up:
        try:
            await asyncio.to_thread(journal.settle)
        except AgentError as error:  # the next pass looks again
            said = (*said, str(error))
    return RolledBack(said, is_up, acquits, is_ours=is_ours and is_up)


async def put_files_back(supervisor: Supervisor, journal: Journal) -> tuple[str, ...]:
    """What could not be put back, and why. systemd reads its units again: the drop-in may be of an earlier pass."""
    try:
        left = await asyncio.to_thread(journal.put_back)
    except AgentError as error:  # the journal cannot be read any more; Docker is started all the same
        left = (str(error),)
    try:
        await supervisor.daemon_reload()
    except UnitFailed as error:
        return (*left, str(error))
    return left


async def let_go(supervisor: Supervisor, journal: Journal) -> None:
    """We have to stop now: the files go back, and systemd starts Docker without us. The next agent looks after it."""
    await put_files_back(supervisor, journal)
    with contextlib.suppress(AgentError):
        await supervisor.start_unwatched()
        await supervisor.start_again(journal.under_way().units)


async def _take_down(supervisor: Supervisor) -> tuple[str, ...]:
    """Stop a dockerd that did not read the files that are back. Why that failed.

    systemd may have started it after a crash, or any client by its socket.
    """
    try:
        if (await supervisor.state()).phase in {Phase.RUNNING, Phase.STARTING}:
            await supervisor.stop()
    except AgentError as error:  # Docker is started all the same
        return (str(error),)
    return ()


async def _start_with_the_last_good(supervisor: Supervisor, journal: Journal, last_good: LastGood) -> RolledBack:
    """What others wrote keeps dockerd from starting: try the daemon.json that it last came up with."""
    try:
        bracket = journal.under_way().bracket
        put_back = await asyncio.to_thread(last_good.put_back, bracket.opened if bracket else None)
        if not put_back:
            return RolledBack(("no other daemon.json is known that it has started with",), is_up=False)
        await supervisor.stop()  # else systemd's own next try counts as a failure of ours
        await supervisor.start()
    except (AgentError, TextRefused) as error:
        return RolledBack((f"it does not start with its last good daemon.json either: {error}",), is_up=False)
    return RolledBack((put_back,), is_up=True)


class UnitsUp(msgspec.Struct, frozen=True):
    """What became of the units that went down with Docker."""

    started: tuple[str, ...] = ()  # again, by us
    said: tuple[str, ...] = ()  # what failed


async def bring_units_up(supervisor: Supervisor, journal: Journal) -> UnitsUp:
    """Start, once, those that systemd did not start again by itself. Only if Docker runs, for they would wake it."""
    started, said = tuple[str, ...](), tuple[str, ...]()
    try:
        units = journal.under_way().units
        unit = await supervisor.state() if units else None
        if unit is None or unit.phase is Phase.STARTING or unit.comes_back:  # later
            return UnitsUp()
        if unit.phase is Phase.RUNNING:
            started = await supervisor.start_again(units)
    except AgentError as error:  # one was masked or removed meanwhile, for example; the others are started
        said = (f"not every unit that depends on Docker was started again: {error}",)
    try:
        journal.note_units_up()
    except AgentError as error:  # the next pass looks again
        said = (*said, str(error))
    return UnitsUp(started, said)

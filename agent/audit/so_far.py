"""What the records say of Docker up to now: its last start, and a restart that waits. Of each Docker on this machine.

Who made a start, and whether a restart waits, outlive an agent: they are kept in the state directory.
Not known here: what Docker really does (`docker/news.py`).
"""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET

from agent.audit.counters import Counters
from agent.system.state_file import StateFile
from agent.values.dockerd import Cause
from agent.values.errors import AgentError
from agent.values.events import (
    AgentStarted,
    DockerRestarted,
    DockerStarted,
    DockerStopped,
    Facts,
    RestartDeferred,
    RestartDropped,
    SettingsRolledBack,
)

_RECENT: Final = 5


class Told(msgspec.Struct, frozen=True):
    """An event in a few words."""

    at: str  # RFC 3339
    text: str


class OfDocker(msgspec.Struct, frozen=True):
    """What the records of all agents say of one Docker."""

    start: str = ""  # the InvocationID of the start that was recorded last
    cause: Cause | None = None  # of that start; None: not known
    restart_waits: bool = False


class Shown(msgspec.Struct, frozen=True):
    """What this agent's records say of the Docker that it serves."""

    unit: str = ""  # '': nothing yet
    start: str = ""  # its InvocationID; '': it is down
    is_silent: bool = False  # what it runs with is not recorded
    started_at: str = ""


class SoFar:
    """Of one agent, or of one command."""

    def __init__(self, state: Path | None = None, log: Path | None = None) -> None:
        """`state`: the state directory; None: nothing is kept. `log`: of the records; None: they are not counted."""
        self.counters = None if state is None or log is None else Counters(log, state)
        self.recent = deque[Told](maxlen=_RECENT)
        self.shown = Shown()
        self._file = None if state is None else StateFile(state / "docker-recorded.json", dict[str, OfDocker], 1)
        self._of: dict[str, OfDocker] | None = None  # by unit; None: not read yet

    def of(self, unit: str) -> OfDocker:
        return self._all().get(unit, OfDocker())

    def says_start(self, unit: str, invocation: str) -> bool:
        """Whether this agent has recorded that start, and none since."""
        return (self.shown.unit, self.shown.start) == (unit, invocation)

    def says_down(self, unit: str) -> bool:
        """Whether this agent has recorded that it is down."""
        return self.says_start(unit, "")

    def forget_shown(self) -> None:
        """What this agent's records said is not in the log any more."""
        self.shown = Shown()

    def note(self, facts: Facts) -> None:
        match facts:
            case AgentStarted(unit=str(unit), invocation=str(start)):
                known = self.of(unit)
                self._keep(unit, known if known.start == start else OfDocker(start))
                self.shown = Shown(unit, start, is_silent=facts.effective is UNSET)
            case AgentStarted(unit=str(unit), effective=None):
                self.shown = Shown(unit)
            case DockerStarted(unit=unit, invocation=start, cause=cause):
                known = self.of(unit)
                # Another start has read what waited; the same one, told once more, has not.
                waits = known.restart_waits and known.start == start
                self._keep(unit, OfDocker(start, cause if isinstance(cause, Cause) else None, restart_waits=waits))
                at = facts.started_at if isinstance(facts.started_at, str) else ""
                self.shown = Shown(unit, start, is_silent=facts.effective is UNSET, started_at=at)
            case DockerStopped(unit=unit):  # whoever starts it now, it is another start
                self.shown = Shown(unit)
            case RestartDeferred(unit=unit):
                self._wait(unit, waits=True)
            case DockerRestarted(unit=unit) | SettingsRolledBack(unit=unit) | RestartDropped(unit=unit):
                self._wait(unit, waits=False)

    def _wait(self, unit: str, *, waits: bool) -> None:
        self._keep(unit, msgspec.structs.replace(self.of(unit), restart_waits=waits))

    def _keep(self, unit: str, known: OfDocker) -> None:
        if known == self.of(unit):
            return
        self._of = {**self._all(), unit: known}
        if self._file is not None:
            with contextlib.suppress(AgentError):  # a full disk: the record itself is worth more
                self._file.save(self._of)

    def _all(self) -> dict[str, OfDocker]:
        if self._of is None:
            self._of = {}
            with contextlib.suppress(AgentError):  # damaged: it is written anew
                self._of = (self._file.load() if self._file is not None else None) or {}
        return self._of

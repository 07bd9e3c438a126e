"""What past restarts of Docker, and refusals of one, say about the next: what not to try again, and until when.

Of one process of the agent. Not known here: how often Docker may be restarted (`decide/rate.py`), and the quarantine of
settings that Docker did not start with (`docker/quarantine.py`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from agent.system.clock import SYSTEM_CLOCK
from agent.values.condition import Condition
from agent.values.dockerd import FileFault, Reality
from agent.values.settings import Settings

_NOT_TAKEN_S: Final = 600.0  # whatever prevented it may be gone by then
_MOST_OTHERWISE: Final = 16  # settings known not to reach dockerd


class _NotTaken(msgspec.Struct, frozen=True):
    """A start of dockerd that did not switch live-restore on."""

    invocation: str
    because: str
    until: float


class _Otherwise(msgspec.Struct, frozen=True):
    """Settings that a restart did not bring into Docker. They are not tried again while its unit stays the same."""

    about: tuple[object, ...]
    tried: tuple[tuple[Settings, Condition], ...]


class PastRestarts:
    """Those that this process saw."""

    def __init__(self) -> None:
        self._not_taken: _NotTaken | None = None
        self._otherwise: _Otherwise | None = None
        self._foreign: tuple[str | None, FileFault] | None = None  # a daemon.json that dockerd refused, and why

    def note_live_restore_not_taken(self, invocation: str, because: str) -> None:
        """This start of dockerd did not switch it on; do not ask it again for a while."""
        self._not_taken = _NotTaken(invocation, because, SYSTEM_CLOCK.boottime_s() + _NOT_TAKEN_S)

    def note_came_up_otherwise(self, desired: Settings, reality: Reality, condition: Condition) -> None:
        """These settings did not reach dockerd; do not try them again until its unit changes."""
        about = _about_the_unit(reality)
        known = self._otherwise.tried if self._otherwise is not None and self._otherwise.about == about else ()
        others = (one for one in known if one[0] != desired)
        self._otherwise = _Otherwise(about, ((desired, condition), *others)[:_MOST_OTHERWISE])

    def note_foreign_broken(self, text: str | None, fault: FileFault) -> None:
        """dockerd would not start with this daemon.json; do not ask again until it changes."""
        self._foreign = (text, fault)

    def forget(self) -> None:
        """Everything may be tried again."""
        self._not_taken = self._otherwise = self._foreign = None

    def forget_otherwise(self) -> None:
        """Another policy may mean settings that do reach dockerd."""
        self._otherwise = None

    def not_taken(self, reality: Reality) -> str:
        """Why this dockerd must not be asked for live-restore again yet; '' if it may."""
        known = self._not_taken
        if known is None or known.invocation != reality.unit.invocation or SYSTEM_CLOCK.boottime_s() >= known.until:
            return ""
        return known.because

    def otherwise(self, reality: Reality) -> tuple[tuple[Settings, Condition], ...]:
        """The settings that would not reach this dockerd, each with what it came up with instead."""
        known = self._otherwise
        return known.tried if known is not None and known.about == _about_the_unit(reality) else ()

    def foreign(self, reality: Reality) -> FileFault | None:
        """Why dockerd would not start with daemon.json as it is, if it was asked of this very text."""
        return self._foreign[1] if self._foreign is not None and self._foreign[0] == reality.daemon_json else None


def _about_the_unit(reality: Reality) -> tuple[object, ...]:
    """The parts of the unit that others wrote."""
    theirs = tuple(path for path in reality.unit.drop_ins if path != reality.drop_in_path)
    found = reality.overruling
    later = tuple((layer.path, layer.values) for layer in found.later)
    return (theirs, reality.binary, reality.arguments, reality.foreign_environment, later, found.unset)

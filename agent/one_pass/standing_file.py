"""Pins and pauses on disk: a reboot must not undo them.

Ends are moments of the wall clock, as the person meant them. Not known here: what a pin or
a pause means for a pass (`decide/`), and who may ask for one (`service/control.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from agent.decide.standing import Pause, Pin
from agent.system.state_file import StateFile
from agent.values.errors import AgentError

_Moment = Annotated[float, msgspec.Meta(ge=0, lt=253402300800)]  # seconds of the wall clock, before the year 10000


class LaidDown(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person has set. An end of None: until it is taken back."""

    pin: str | None = None
    pin_until: _Moment | None = None
    is_paused: bool = False
    paused_until: _Moment | None = None

    def pin_at(self, now: float, wall: float) -> Pin | None:
        """With its end moved from the wall clock (`wall`) to the clock of `now`; None: there is no pin."""
        return None if self.pin is None else Pin(self.pin, _moved(self.pin_until, now - wall))

    def pause_at(self, now: float, wall: float) -> Pause | None:
        return Pause(_moved(self.paused_until, now - wall)) if self.is_paused else None


class StandingFile:
    """Where it is kept."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "standing.json", LaidDown, 1)
        self.problem: AgentError | None = None  # why the file could not be read

    def load(self) -> LaidDown:
        """Nothing, and a `problem`, if it cannot be read: a pass goes on without it."""
        try:
            found = self._file.load()
            self.problem = None
        except AgentError as error:
            self.problem = error
            return LaidDown()
        return found or LaidDown()

    def save(self, kept: LaidDown) -> None:
        self._file.save(kept)
        self.problem = None


def _moved(at: float | None, by: float) -> float | None:
    return None if at is None else at + by

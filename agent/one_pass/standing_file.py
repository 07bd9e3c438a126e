"""What a person laid down by hand and a reboot must not undo: a pin, a pause.

Kept in the state directory; an end is a moment of the wall clock, as the person meant it. Not known here: what a pin or
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
    """Ends are moments of the wall clock; None: none is named."""

    pin: str | None = None
    pin_until: _Moment | None = None
    is_paused: bool = False
    paused_until: _Moment | None = None

    def pin_at(self, now: float, wall: float) -> Pin | None:
        """With its end on the clock of `now`, where it is `wall` on the wall; None: there is none."""
        return None if self.pin is None else Pin(self.pin, _moved(self.pin_until, now - wall))

    def pause_at(self, now: float, wall: float) -> Pause | None:
        return Pause(_moved(self.paused_until, now - wall)) if self.is_paused else None


class StandingFile:
    """Where it is kept."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "standing.json", LaidDown, 1)
        self.problem: AgentError | None = None  # why what is kept is not known

    def load(self) -> LaidDown:
        """Nothing, with a `problem`, if it cannot be understood: a pass goes on without."""
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

"""Whether Docker is down to stay, or only in between a stop and a start.

A restart is "inactive" for a moment, so one look is not enough: it must be down for a while with no start pending.
Not known here: who took it down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from agent.system.running_time import Left
from agent.values.dockerd import UnitState

LASTS_S: Final = 2.0  # longer than the moment between the two halves of another's `stop; start`


class Away:
    """Looks at one state after the other."""

    def __init__(self, lasts_s: float = LASTS_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._lasts_s = lasts_s
        self._clock = clock
        self._left: Left | None = None

    def lasts(self, state: UnitState) -> bool:
        """Whether it has been down, with nothing starting it, for long enough."""
        if not state.is_away:
            self._left = None
            return False
        self._left = self._left or Left(self._lasts_s, self._clock)
        return self._left.is_over()

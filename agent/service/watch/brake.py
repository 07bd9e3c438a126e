"""When a directory has so many events that it is not watched for a while.

Pure: the time is an argument. So a directory that changes all the time costs next to nothing; what changes meanwhile is
found when it is watched again. Not known here: how that is done (`paths.py`).
"""

from __future__ import annotations

from typing import Final

MOST: Final = 20  # events within WITHIN_S; saving in an editor makes about ten
WITHIN_S: Final = 1.0
REST_S: Final = 0.7  # with the time that a wake-up gathers, a change in a storm is seen within a second


class Brake:
    """The brake of one directory, since it is watched."""

    def __init__(self) -> None:
        self._began = 0.0
        self._heard = 0

    def is_enough(self, now: float) -> bool:
        """Count an event. True, once, if there were so many that the watch is to rest."""
        if not self._heard or now - self._began >= WITHIN_S:
            self._began, self._heard = now, 0
        self._heard += 1
        return self._heard == MOST

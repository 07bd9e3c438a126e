"""When a directory tells too much, so that it is not listened to for a while.

Pure: the time comes in. Who stirs a directory all the time costs next to nothing so; what changes there meanwhile is
found when it is listened to again. Not known here: how that is done (`paths.py`).
"""

from __future__ import annotations

from typing import Final

MOST: Final = 20  # news within WITHIN_S; an editor's save is some ten
WITHIN_S: Final = 1.0
REST_S: Final = 0.7  # with what a wake-up gathers, a change in a storm is followed within a second


class Brake:
    """That of one directory, since it is listened to."""

    def __init__(self) -> None:
        self._began = 0.0
        self._heard = 0

    def is_enough(self, now: float) -> bool:
        """Something was told: whether so much that listening on is not worth it. It is said once."""
        if not self._heard or now - self._began >= WITHIN_S:
            self._began, self._heard = now, 0
        self._heard += 1
        return self._heard == MOST

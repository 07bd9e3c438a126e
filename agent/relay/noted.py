"""Lines in the journal that others cause: each kind of them at most once a minute, with how many there were meanwhile.

The limit is by time, and not by source: anybody can use many addresses, and fill a memory of sources. And journald
drops all lines of a service that logs too much.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Final

NOTED_EVERY_S: Final = 60.0


class Kind(enum.Enum):
    """What happens to connections."""

    REFUSED = enum.auto()
    TURNED_AWAY = enum.auto()
    NOT_ACCEPTED = enum.auto()
    BROKEN = enum.auto()
    TOO_HEAVY = enum.auto()
    UNTOLD = enum.auto()


class Noted:
    """Of one relay."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._said_at: dict[Kind, float] = {}
        self._left_out: dict[Kind, int] = {}

    def note(self, kind: Kind, what: str) -> None:
        now = self._clock()
        if now - self._said_at.get(kind, float("-inf")) < NOTED_EVERY_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._said_at[kind] = now
        left_out = self._left_out.pop(kind, 0)
        self._say(f"{what} (and {left_out} more like it since the last such line)" if left_out else what)

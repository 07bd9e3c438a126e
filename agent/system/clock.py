"""The clocks that show how long the host was suspended, and the time as a person reads it."""

from __future__ import annotations

import datetime as dt
import time
from typing import Final, Protocol

_CLOCKS_APART_S: Final = 0.5  # more than reading one after the other takes
_AT_ONCE_S: Final = 0.001  # two clocks were read, with no other process in between
_TRIES: Final = 5
_SET_S: Final = 0.02  # or slewed


class Clock(Protocol):
    """Two clocks; their difference is the time that the host was suspended since its start."""

    def boottime_s(self) -> float: ...
    def monotonic_s(self) -> float: ...


class SystemClock:
    """The kernel's."""

    def boottime_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def monotonic_s(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC)


SYSTEM_CLOCK: Final = SystemClock()
EXACT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"  # RFC 3339, UTC, microseconds


def now_text() -> str:
    """RFC 3339, in UTC, to the second."""
    return rfc3339(time.time())


def time_of_day(boottime_s: float) -> str:
    """When that is, for a person, if nobody sets the clock until then."""
    return time.strftime("%H:%M:%S", time.localtime(time.time() + boottime_s - SYSTEM_CLOCK.boottime_s()))


def rfc3339(wall_s: float) -> str:
    """In UTC, to the second. `wall_s`: seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_s))


def exact(wall_s: float) -> str:
    """The same, to the microsecond, as records have it: more than one thing happens in a second."""
    return dt.datetime.fromtimestamp(wall_s, dt.UTC).strftime(EXACT)


class Moments:
    """When something was by the wall's clock, from its CLOCK_MONOTONIC, which stands still while the host is suspended.

    Of what was before the last suspend that is not known: `note` has to be called now and then.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._suspended_s = 0.0
        self._known_from = 0.0  # CLOCK_MONOTONIC
        self._apart_s = 0.0

    def note(self) -> None:
        """See whether the host was suspended since the last call."""
        now = self._clock.monotonic_s()
        suspended_s = self._clock.boottime_s() - now
        if suspended_s > self._suspended_s + _CLOCKS_APART_S:
            self._suspended_s, self._known_from = suspended_s, now

    def at(self, monotonic_s: float) -> str:
        """As `exact`; '' for 0, and for what is not known."""
        self.note()
        if not monotonic_s or monotonic_s < self._known_from:
            return ""
        return exact(monotonic_s + self._apart())

    def _apart(self) -> float:
        """From this clock to the wall's. The same again unless that was set, so that a moment has one text."""
        for _ in range(_TRIES):
            before, wall_s, after = self._clock.monotonic_s(), time.time(), self._clock.monotonic_s()
            if after - before < _AT_ONCE_S:
                break
        apart_s = wall_s - (before + after) / 2
        if abs(apart_s - self._apart_s) > _SET_S:
            self._apart_s = apart_s
        return self._apart_s


MOMENTS: Final = Moments()  # as this process sees them

"""The clocks that show how long the host was suspended, and the time as a person reads it."""

from __future__ import annotations

import datetime as dt
import time
from typing import Final, Protocol


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


def rfc3339(wall_s: float) -> str:
    """In UTC, to the second. `wall_s`: seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_s))


def exact(wall_s: float) -> str:
    """The same, to the microsecond, as records have it: more than one thing happens in a second."""
    return dt.datetime.fromtimestamp(wall_s, dt.UTC).strftime(EXACT)

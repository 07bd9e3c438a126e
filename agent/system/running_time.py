"""Time that passes only while this process can run: for waits for Docker or systemd.

A suspended host stops CLOCK_MONOTONIC, and with it time.monotonic() and asyncio's timers (FACTS 24). A frozen control
group, a paused virtual machine or SIGSTOP does not (FACTS 122): afterwards every deadline would be over before anything
could have answered. So between two readings of the clock, no more time counts than can have passed while we ran.
Not known here: systemd's own deadlines, which use CLOCK_MONOTONIC, and what must go on meanwhile (CLOCK_BOOTTIME).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

# However long we were stopped, a time takes at least so many readings to be over. Not more: between two readings there
# may be 10 s, if dockerd does not answer, and they must count.
_LOOKS: Final = 4


class Left:
    """What is left of some seconds. It decreases with each reading of the clock."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.at_once = seconds / _LOOKS  # no more passes between two readings
        self._clock = clock
        self._looked = clock()

    def is_over(self) -> bool:
        now = self._clock()
        self.seconds -= min(now - self._looked, self.at_once)
        self._looked = now
        return self.seconds <= 0


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Like `asyncio.timeout`: TimeoutError if its block has not ended after so many seconds."""
    loop = asyncio.get_running_loop()
    left = Left(seconds, loop.time)
    next_look: asyncio.TimerHandle | None = None
    async with asyncio.timeout(None) as limit:

        def look() -> None:
            nonlocal next_look
            if left.is_over():
                limit.reschedule(loop.time())
            else:
                next_look = loop.call_later(min(left.at_once / 2, left.seconds), look)

        look()
        try:
            yield
        finally:
            if next_look is not None:
                next_look.cancel()

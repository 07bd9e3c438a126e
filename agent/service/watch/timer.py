"""Wakes at a time of CLOCK_BOOTTIME, which goes on while the host is suspended; asyncio's timers do not (FACTS 24)."""

from __future__ import annotations

import asyncio
import contextlib
import os

from agent.service.watch import timerfd
from agent.service.watch.wakeups import Wake
from agent.values.reason import Reason


class Timer:
    """One alarm; a new one replaces the old one."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._descriptor = timerfd.boottime_timer()
        self._is_closed = False
        self._loop.add_reader(self._descriptor, self._fired)

    def set(self, at_s: float | None) -> None:
        """One wake-up at that time of CLOCK_BOOTTIME; at once if it has passed, after resume if it passed meanwhile."""
        timerfd.set_to(self._descriptor, at_s)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _fired(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it was set again between firing and this call
            os.read(self._descriptor, 8)
            self._wake(Reason.TIMER)

"""Wakes after the host was suspended: CLOCK_BOOTTIME has advanced further than CLOCK_MONOTONIC (FACTS 24).

The addresses may be the same, and yet it is another network, or a portal. Nothing is polled: the wall clock has jumped
against CLOCK_MONOTONIC, too, and the kernel reports that. If only the wall clock was set, the other two clocks show it.

Not tested: that the kernel reports a real suspend, which only timerfd_create(2) says. A test neither suspends the
machine nor sets its clock; it has its own clocks for the rule.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Final

from agent.service.watch import timerfd
from agent.service.watch.wakeups import Wake
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.reason import Reason

_AT_LEAST_S: Final = 0.5  # the clocks are read one after the other, and the process may be delayed in between


class Suspended:
    """How long the host was suspended between two calls."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._told_s = self._total_s()

    def since_s(self) -> float:
        """Since the last call that did not return 0, or the start. 0: not suspended, or too short to tell."""
        total_s = self._total_s()
        new_s = total_s - self._told_s
        if new_s < _AT_LEAST_S:
            return 0.0
        self._told_s = total_s
        return new_s

    def _total_s(self) -> float:
        # In this order a delay in between makes the suspend look shorter, not longer.
        boottime_s = self._clock.boottime_s()
        return boottime_s - self._clock.monotonic_s()


class ResumeWatch:
    """Wakes once for each suspend."""

    def __init__(self, wake: Wake, clock: Clock = SYSTEM_CLOCK) -> None:
        self._wake = wake
        self._suspended = Suspended(clock)
        self._loop = asyncio.get_running_loop()
        self._descriptor = timerfd.jump_timer()
        self._is_closed = False
        timerfd.set_to_next_jump(self._descriptor)
        self._loop.add_reader(self._descriptor, self._jumped)

    def look(self) -> None:
        """Compare the clocks without waiting for the kernel: a pass or a timer may run first after resume."""
        if self._suspended.since_s():
            self._wake(Reason.RESUME)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _jumped(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except OSError as jump:
            if jump.errno not in (errno.ECANCELED, errno.EAGAIN):
                raise
        timerfd.set_to_next_jump(self._descriptor)
        self.look()

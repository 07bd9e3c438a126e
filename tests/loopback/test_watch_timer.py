"""Real timers of the kernel, in milliseconds."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.service.watch import timerfd
from agent.service.watch.resume import ResumeWatch
from agent.service.watch.timer import Timer
from agent.service.watch.wakeups import Wakeups
from agent.values.reason import Reason


class Clocks:
    """A host that is suspended when the test says so."""

    suspended_s = 0.0

    def boottime_s(self) -> float:
        return 1000 + self.suspended_s

    def monotonic_s(self) -> float:
        return 1000


def boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
async def wakeups() -> Wakeups:
    return Wakeups()


@pytest.fixture
async def timer(wakeups: Wakeups) -> AsyncIterator[Timer]:
    timer = Timer(wakeups.wake)
    yield timer
    timer.close()


async def test_a_timer_fires_at_its_time(wakeups: Wakeups, timer: Timer) -> None:
    at_s = boottime_s() + 0.05
    timer.set(at_s)

    assert await wakeups.next(5) == {Reason.TIMER}
    assert boottime_s() >= at_s


async def test_a_time_that_is_over_fires_at_once(wakeups: Wakeups, timer: Timer) -> None:
    timer.set(boottime_s() - 100)
    assert await wakeups.next(5) == {Reason.TIMER}

    timer.set(-1)
    assert await wakeups.next(5) == {Reason.TIMER}


async def test_a_new_time_takes_the_old_one_s_place(wakeups: Wakeups, timer: Timer) -> None:
    timer.set(boottime_s() + 0.02)
    timer.set(None)
    assert await wakeups.next(0.1) == frozenset()

    timer.set(boottime_s() + 3600)
    timer.set(boottime_s())
    assert await wakeups.next(5) == {Reason.TIMER}
    assert await wakeups.next(0.05) == frozenset()


async def test_a_timer_that_fired_and_is_set_anew_before_anyone_looked(wakeups: Wakeups, timer: Timer) -> None:
    timer.set(boottime_s() - 1)
    timer.set(None)

    assert await wakeups.next(0.05) == frozenset()


async def test_a_resume_wakes_when_somebody_looks(wakeups: Wakeups) -> None:
    clocks = Clocks()
    watch = ResumeWatch(wakeups.wake, clocks)
    try:
        watch.look()
        assert wakeups.pending == frozenset()

        clocks.suspended_s = 600
        watch.look()
        watch.look()
        assert await wakeups.next(5) == {Reason.RESUME}
        assert await wakeups.next(0.05) == frozenset()
    finally:
        watch.close()


def test_the_kernel_takes_the_timer_that_a_jump_cancels() -> None:
    descriptor = timerfd.jump_timer()
    try:
        timerfd.set_to_next_jump(descriptor)
        with pytest.raises(BlockingIOError):  # it neither fired nor was cancelled
            os.read(descriptor, 8)
    finally:
        os.close(descriptor)


def test_what_the_kernel_refuses_is_an_error() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            timerfd.set_to(nothing, 1.0)
    finally:
        os.close(nothing)


async def test_closing_leaves_no_descriptor(wakeups: Wakeups) -> None:
    before = descriptors()

    for watch in (Timer(wakeups.wake), ResumeWatch(wakeups.wake)):
        watch.close()
        watch.close()

    assert descriptors() == before

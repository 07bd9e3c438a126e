"""A process that ends wakes, at once and once."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from agent.service.watch.process import ProcessWatch
from agent.service.watch.wakeups import Wakeups
from agent.values.reason import Reason


@contextmanager
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        try:
            yield sleeping
        finally:
            sleeping.kill()


async def test_the_end_of_the_one_that_is_followed_wakes_once() -> None:
    wakeups = Wakeups()
    watch = ProcessWatch(wakeups.wake)
    with process() as first, process() as second:
        watch.follow(first.pid)
        watch.follow(second.pid)
        first.kill()
        first.wait(60)
        second.kill()

        assert await asyncio.wait_for(wakeups.next(), 10) == {Reason.FILES}

        watch.follow(second.pid)  # as long as nobody has looked again
        second.wait(60)
        await asyncio.sleep(0.05)
        assert not wakeups.pending
    watch.follow(0)
    watch.close()


async def test_one_that_is_gone_already_wakes_at_once_and_once() -> None:
    wakeups = Wakeups()
    watch = ProcessWatch(wakeups.wake)
    with process() as gone:
        gone.kill()
        gone.wait(60)
        watch.follow(gone.pid)
        assert await asyncio.wait_for(wakeups.next(), 10) == {Reason.FILES}
        watch.follow(gone.pid)
    assert not wakeups.pending
    watch.close()

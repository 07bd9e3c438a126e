"""Reasons are collected, and none is lost. Time is the event loop's own, made to jump."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.service.watch.wakeups import Wakeups
from agent.values.reason import Reason


class JumpingLoop(asyncio.SelectorEventLoop):
    """Where nobody waits for anything but time, the time is there."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, by_s: float) -> None:
        self._now_s += by_s


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "all wait for ever"
        self._loop.jump(max(0.0, timeout))
        return super().select(0)


def run(main: Callable[[Wakeups], Coroutine[Any, Any, None]]) -> None:
    async def with_wakeups() -> None:
        await main(Wakeups())

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(with_wakeups())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_what_came_before_is_there_at_once() -> None:
    async def main(wakeups: Wakeups) -> None:
        wakeups.wake(Reason.NETWORK)
        wakeups.wake(Reason.FILES)
        wakeups.wake(Reason.NETWORK)

        assert await wakeups.next() == {Reason.NETWORK, Reason.FILES}
        assert await wakeups.next(5) == frozenset()

    run(main)


def test_what_comes_while_waiting_ends_the_wait() -> None:
    async def main(wakeups: Wakeups) -> None:
        start = now()
        asyncio.get_running_loop().call_later(3, wakeups.wake, Reason.RESUME)

        assert await wakeups.next(60) == {Reason.RESUME}
        assert now() - start == pytest.approx(3)

    run(main)


def test_what_comes_during_a_pass_is_there_after_it() -> None:
    async def main(wakeups: Wakeups) -> None:
        wakeups.wake(Reason.TIMER)
        assert await wakeups.next() == {Reason.TIMER}
        asyncio.get_running_loop().call_later(1, wakeups.wake, Reason.NETWORK)
        await asyncio.sleep(2)  # the pass

        assert wakeups.pending == {Reason.NETWORK}
        assert await wakeups.next() == {Reason.NETWORK}

    run(main)


def test_a_pass_that_waits_for_one_reason_takes_none() -> None:
    async def main(wakeups: Wakeups) -> None:
        start = now()
        asyncio.get_running_loop().call_later(1, wakeups.wake, Reason.TIMER)
        asyncio.get_running_loop().call_later(4, wakeups.wake, Reason.NETWORK)

        await wakeups.arrival(Reason.NETWORK, Reason.RESUME)

        assert now() - start == pytest.approx(4)
        assert await wakeups.next() == {Reason.TIMER, Reason.NETWORK}

    run(main)


def test_a_wait_that_is_cancelled_has_taken_nothing() -> None:
    async def main(wakeups: Wakeups) -> None:
        waiting = asyncio.ensure_future(wakeups.next())
        await asyncio.sleep(0)
        wakeups.wake(Reason.NETWORK)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting

        assert waiting.cancelled()
        assert wakeups.pending == {Reason.NETWORK}

    run(main)


def test_one_reason_can_be_taken_alone() -> None:
    async def main(wakeups: Wakeups) -> None:
        wakeups.wake(Reason.NETWORK)
        wakeups.wake(Reason.FILES)

        assert wakeups.take(Reason.NETWORK)
        assert not wakeups.take(Reason.NETWORK)
        assert await wakeups.next() == {Reason.FILES}

    run(main)


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(Reason))), st.lists(st.floats(0, 2), min_size=1, max_size=9))
def test_each_reason_is_taken_by_the_next_who_asks(arrivals: list[tuple[float, Reason]], passes: list[float]) -> None:
    async def main(wakeups: Wakeups) -> None:
        taken: list[Reason] = []
        for at, reason in arrivals:
            asyncio.get_running_loop().call_later(at, wakeups.wake, reason)
        for busy_s in passes:
            taken += await wakeups.next(0.5)
            await asyncio.sleep(busy_s)
            taken += [Reason.NETWORK] if wakeups.take(Reason.NETWORK) else []
        await asyncio.sleep(6)
        taken += wakeups.pending

        assert set(taken) == {reason for _, reason in arrivals}

    run(main)


def test_who_heeds_a_reason_beside_a_pass_is_told_of_each_that_comes_and_takes_none() -> None:
    async def main(wakeups: Wakeups) -> None:
        wakeups.wake(Reason.FILES)
        heeding = asyncio.create_task(wakeups.told(Reason.FILES))
        await asyncio.sleep(1)
        wakeups.wake(Reason.NETWORK)
        await asyncio.sleep(1)
        assert not heeding.done()  # what came before, and what is none of its

        wakeups.wake(Reason.FILES)
        await asyncio.sleep(1)

        assert heeding.done()
        assert await wakeups.next() == {Reason.FILES, Reason.NETWORK}

    run(main)

"""Looks again and again, until something is so or its time is over.

The time is `Left`'s: it does not pass while this process cannot run. Not known here: what is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from agent.system.running_time import Left

T = TypeVar("T")


async def until(
    look: Callable[[], Awaitable[T]], is_enough: Callable[[T], bool], *, within_s: float, every_s: float
) -> T:
    """The first look that is enough, or the last one if none was in time: the caller asks it again."""
    async for _ in every(every_s, within_s=within_s):
        found = await look()
        if is_enough(found):
            break
    return found


def every(seconds: float, *, within_s: float) -> AsyncIterator[None]:
    """A turn at once, and another one so many seconds after the end of each, until the time is over."""
    return _Rounds(seconds, Left(within_s))


class _Rounds:
    """A class, for a generator that is left in the middle is closed later, by a task of its own."""

    def __init__(self, seconds: float, left: Left) -> None:
        self._seconds = seconds
        self._left = left
        self._is_first = True

    def __aiter__(self) -> AsyncIterator[None]:
        return self

    async def __anext__(self) -> None:
        if self._is_first:  # there is one, however short the time
            self._is_first = False
            return
        if self._left.is_over():
            raise StopAsyncIteration
        await asyncio.sleep(self._seconds)

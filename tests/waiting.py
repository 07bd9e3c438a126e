"""Waiting is "until": a deadline, and what was last seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

_RESTS_S = 1.0  # at most after one look

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A yes or no that remembers what was looked at."""

    holds: bool
    what: object

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        return str(self.what)


class NotInTime(AssertionError):
    pass


def until(within: float, look: Callable[[], T], what: str, every: float = 0.05, seldom: float = 0) -> T:
    """The first truthy value that `look` returns; NotInTime says what it returned last.

    A look that is dear holds up what is waited for: it rests as long as it looked. The longer it has waited the less
    often it looks, down to `seldom`.
    """
    started = time.monotonic()
    rested = started
    for value in _looks(within, look, what):
        if value:
            return value
        now = time.monotonic()
        time.sleep(max(every, min(now - rested, _RESTS_S), min(seldom, (now - started) / 4)))
        rested = time.monotonic()
    raise AssertionError("unreachable")


async def until_awaited(within: float, look: Callable[[], T], what: str, every: float = 0.01) -> T:
    """The same, while the loop goes on."""
    for value in _looks(within, look, what):
        if value:
            return value
        await asyncio.sleep(every)
    raise AssertionError("unreachable")


def _looks(within: float, look: Callable[[], T], what: str) -> Iterator[T]:
    """One after the other. It is looked once more when the time is over: a busy machine may have been away."""
    started = time.monotonic()
    while True:
        is_over = time.monotonic() - started > within
        value = look()
        yield value
        if is_over:
            raise NotInTime(f"{what}: not within {within:g} s; last seen: {value}")

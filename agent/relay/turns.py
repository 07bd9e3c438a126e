"""Whose turn it is, among connections that all have something to do.

Not known here: what they do, and how long it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from agent.relay.by_source import Line

LARGE_HEAD: Final = 4 * 1024  # bytes: it takes its turn before it is read, for one of 64 KB takes 3 ms
_AT_ONCE: Final = 4  # connections that have a turn each time the loop comes round


class Turns:
    """A connection that has had enough events waits here: only a few continue in each round of the event loop.

    So a round takes a millisecond or two, even with hundreds of busy connections. Those that have waited least often go
    first, so a short request does not wait for busy ones. Among those that have waited equally often, the sources take
    turns, and root has every other turn.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._first = Line[asyncio.Future[None]]()
        self._others = Line[asyncio.Future[None]]()
        self._is_due = False

    async def next(self, whose: Callable[[], str] = str, *, is_first: bool) -> None:
        """`whose`: the source that it counts for, or ROOTS."""
        waiting = self._loop.create_future()
        (self._first if is_first else self._others).add(whose, waiting)
        self._be_due()
        await waiting

    def _be_due(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._grant)

    def _grant(self) -> None:
        self._is_due = False
        left = self._at_once
        while left and (line := self._next(left)):
            waiting = line.next()
            if not waiting.done():  # it was cancelled
                waiting.set_result(None)
                left -= 1
        if self._first or self._others:
            self._be_due()

    def _next(self, left: int) -> Line[asyncio.Future[None]]:
        """The last place of a round is for the others: a stream of new connections does not keep them out."""
        return (self._others or self._first) if left == 1 else (self._first or self._others)

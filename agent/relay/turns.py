"""Whose turn it is, among connections that all have something to do.

Not known here: what they do, and how long it takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

LARGE_HEAD: Final = 4 * 1024  # bytes: it takes its turn before it is read, for one of 64 KB takes 3 ms
_AT_ONCE: Final = 4  # connections that have a turn each time the loop comes round


class Turns:
    """Who has had enough events waits here: a few go on each time that the loop comes round, whoever waits.

    So a round takes a millisecond or two, also with hundreds that have something to do all the time. Who has waited
    seldom goes first: a short request need not wait for those.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._first: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._is_due = False

    async def next(self, *, is_first: bool) -> None:
        waiting = self._loop.create_future()
        (self._first if is_first else self._others).append(waiting)
        self._be_due()
        await waiting

    def _be_due(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._grant)

    def _grant(self) -> None:
        self._is_due = False
        left = self._at_once
        while left and (queue := self._next(left)):
            waiting = queue.popleft()
            if not waiting.done():  # it was cancelled
                waiting.set_result(None)
                left -= 1
        if self._first or self._others:
            self._be_due()

    def _next(self, left: int) -> deque[asyncio.Future[None]]:
        """The last of a round is for the others: whoever comes anew all the time does not keep them out."""
        return (self._others or self._first) if left == 1 else (self._first or self._others)

"""Collects what woke the service, until it asks.

All of it belongs to one event loop, and is called in its thread. A wake-up at a point in time, even if the host sleeps
meanwhile, is set in `timer.py`.
Not known here: what a reason leads to.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from agent.values.reason import Reason

Wake = Callable[[Reason], None]


class Wakeups:
    """The reasons to look again. None is lost: those that come during a pass, or between two, are taken next."""

    def __init__(self) -> None:
        self._pending: set[Reason] = set()
        self._told: Counter[Reason] = Counter()  # how often each came
        self._news = asyncio.Event()

    @property
    def pending(self) -> frozenset[Reason]:
        """The reasons that were not taken yet."""
        return frozenset(self._pending)

    def wake(self, reason: Reason) -> None:
        """Look again."""
        self._pending.add(reason)
        self._told[reason] += 1
        self._news.set()
        self._news = asyncio.Event()

    async def arrival(self, *reasons: Reason) -> None:
        """Wait until one of these, or any, is pending. It stays pending: for a pass that must then start again."""
        while not (self._pending.intersection(reasons) if reasons else self._pending):
            await self._news.wait()

    async def told(self, reason: Reason) -> None:
        """Wait until it comes again, pending or not: for code that runs beside the passes. Nothing is taken."""
        before = self._told[reason]
        while self._told[reason] == before:
            await self._news.wait()

    def take(self, reason: Reason) -> bool:
        """Take it. Whether it was pending."""
        was_pending = reason in self._pending
        self._pending.discard(reason)
        return was_pending

    async def next(self, timeout_s: float | None = None) -> frozenset[Reason]:
        """Take what is pending as soon as anything is; nothing if nothing came in that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.arrival()
        return self._taken()  # without an await before it returns: a cancelled call has taken nothing

    def _taken(self) -> frozenset[Reason]:
        taken = frozenset(self._pending)
        self._pending.clear()
        return taken

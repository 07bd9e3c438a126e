"""Collects what woke the service, until it asks.

All of it belongs to one event loop, and is called on its thread. Waiting here is by the loop's clock, which stands
still while the host is suspended: what must come at a time, sleep or not, is set in `timer.py`.
Not known here: what a reason leads to.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable
from typing import Final

QUIET_S: Final = 0.3  # an address comes before its DNS (FACTS 23)


class Reason(enum.StrEnum):
    """What moved; never how."""

    NETWORK = "network"
    FILES = "files"
    RESUME = "resume"
    TIMER = "timer"
    REQUEST = "request"


Wake = Callable[[Reason], None]


class Wakeups:
    """The reasons to look again. None is lost: those that come during a pass, or while nobody waits, are there next."""

    def __init__(self) -> None:
        self._pending: set[Reason] = set()
        self._news = asyncio.Event()
        self._last_s = asyncio.get_running_loop().time()

    @property
    def pending(self) -> frozenset[Reason]:
        """What came and was not taken yet."""
        return frozenset(self._pending)

    def wake(self, reason: Reason) -> None:
        """Look again."""
        self._last_s = asyncio.get_running_loop().time()
        self._pending.add(reason)
        self._news.set()
        self._news = asyncio.Event()

    async def arrival(self, *reasons: Reason) -> None:
        """Until one of these, or any at all, is pending. It stays so: this tells a pass that it is to start anew."""
        while not (self._pending.intersection(reasons) if reasons else self._pending):
            await self._news.wait()

    async def next(self, timeout_s: float | None = None) -> frozenset[Reason]:
        """Takes what is pending as soon as anything is; nothing if nothing came in that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.arrival()
        return self._taken()  # without an await before it returns: a cancelled call has taken nothing

    async def settled(self, quiet_s: float = QUIET_S, *, at_most_s: float) -> frozenset[Reason]:
        """Waits until nothing has come for that long, and takes what came meanwhile.

        What was quiet before the call counts: probing has taken its time. Nothing that comes wakes this wait, so that
        a storm costs nothing here.
        """
        now = asyncio.get_running_loop().time
        until_s = now() + at_most_s
        while (rest_s := min(self._last_s + quiet_s, until_s) - now()) > 0:  # noqa: ASYNC110  an event would wake us
            await asyncio.sleep(rest_s)
        return self._taken()

    def _taken(self) -> frozenset[Reason]:
        taken = frozenset(self._pending)
        self._pending.clear()
        return taken

"""A password that several proxies may have, as those of a PAC: tried at one of them first, as accounts lock (FACTS 25).

The others follow when that one has taken it, and not at all when it has refused it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from agent.probe.exchange import DialogueFailed
from agent.values.verdict import Outcome


class Login:
    """One of them, while its proxies are probed side by side."""

    def __init__(self, takers: set[str], turn_s: float) -> None:
        """`takers`: the upstreams that have taken it here. `turn_s`: how long others wait for a silent one."""
        self._takers = takers
        self._turn_s = turn_s
        self._lock = asyncio.Lock()
        self._is_taken = False
        self._refused_by = ""

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """In which it is sent. DialogueFailed if another one has refused it meanwhile."""
        if self._needs_no_turn():
            yield
            return
        await self._lock.acquire()
        held = [self._lock]

        def end() -> None:
            if held:
                held.pop().release()

        late = asyncio.get_running_loop().call_later(self._turn_s, end)
        try:
            if self._refused_by:
                what = f"{self._refused_by} has refused the same password: not sent here"
                raise DialogueFailed(Outcome.PROXY_AUTH, what)
            if self._needs_no_turn():
                end()
            yield
        finally:
            late.cancel()
            end()

    def _needs_no_turn(self) -> bool:
        return self._is_taken

    def note_taken(self, upstream: str) -> None:
        self._is_taken = True
        self._takers.add(upstream)

    def note_refused(self, upstream: str) -> None:
        """By one among others that take it, it is that one's own matter."""
        if self._refused_by:
            return
        if self._takers and upstream not in self._takers:
            return
        self._takers.clear()
        self._is_taken = False
        self._refused_by = upstream

"""How a name is looked up: by the C library, which reads resolv.conf again whenever it has changed.

dockerd, which is Go, believes an old one for five seconds. A look-up that hangs keeps its thread, whoever gave up
waiting, so there is a limit to them, and no source has all of them: a container that asks for names in a network
without DNS does not keep Docker from looking up its own.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Final

from agent.probe.dial import Address, Resolve, in_a_thread

MOST: Final = 64  # look-ups at once; each is a thread
MOST_OF_ONE: Final = 16


class _Slots:
    """Of one source, and how many want one."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(MOST_OF_ONE)
        self.users = 0


class Names:
    """Of one relay."""

    def __init__(self, resolve: Resolve = in_a_thread) -> None:
        self._resolve = resolve
        self._free = asyncio.Semaphore(MOST)
        self._by_source: dict[str, _Slots] = {}
        self._running: set[asyncio.Task[Sequence[Address]]] = set()

    async def of(self, source: str, host: str, port: int) -> Sequence[Address]:
        """As `Resolve`, on behalf of this source."""
        slots = self._by_source.setdefault(source, _Slots())
        slots.users += 1
        try:
            await slots.free.acquire()
            try:
                await self._free.acquire()
            except BaseException:
                slots.free.release()
                raise
        except BaseException:
            self._leave(source, slots)
            raise
        looking = asyncio.ensure_future(self._resolve(host, port))
        self._running.add(looking)
        looking.add_done_callback(functools.partial(self._done, source, slots))
        return await asyncio.shield(looking)  # its slot is free when it ends, not when nobody waits any more

    def _done(self, source: str, slots: _Slots, looking: asyncio.Task[Sequence[Address]]) -> None:
        self._running.discard(looking)
        self._free.release()
        slots.free.release()
        self._leave(source, slots)
        if not looking.cancelled():
            looking.exception()  # nobody may be waiting for it

    def _leave(self, source: str, slots: _Slots) -> None:
        slots.users -= 1
        if not slots.users:
            self._by_source.pop(source, None)

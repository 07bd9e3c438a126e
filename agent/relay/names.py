"""How a name is looked up: by the C library, which reads resolv.conf again whenever it has changed.

dockerd, which is Go, uses an old one for up to five seconds. A look-up that hangs keeps its thread even if nobody waits
for it any more, so their number is limited, and neither one source nor all containers together may have all of them: a
source that asks for names in a network without DNS does not block Docker's look-ups. Another user of this host, who
comes from the same address as dockerd, does not either: some are reserved for root. A request for a name that is being
looked up waits for that look-up, but not if it hangs, or was begun in another network.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agent.probe.dial import Address, Resolve, in_a_thread
from agent.relay.limits import ROOTS, Whose

MOST: Final = 60  # look-ups at once; each is a thread, and the unit allows 80
MOST_OF_ONE: Final = 12
_SHARED_S: Final = 2.0  # one that takes longer may hang

FEW: Final = 6  # of all containers; where there are more, it is asked which of them are one and the same

Looking = asyncio.Task[Sequence[Address]]


class _Slots:
    """Of one source, and how many want one."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(MOST_OF_ONE)
        self.users = 0


class _Shared(msgspec.Struct, frozen=True):
    looking: Looking
    began: float


class Names:
    """Of one relay."""

    def __init__(self, resolve: Resolve = in_a_thread, whose: Whose = list) -> None:
        self._resolve = resolve
        self._whose = whose
        self._of_containers = 0  # that have one, or want it
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(MOST)
        # Without the relay's own, this host's, and root's.
        self._free_for_containers = asyncio.Semaphore(MOST - 3 * MOST_OF_ONE)
        self._by_source: dict[str, _Slots] = {}
        self._running: dict[tuple[str, int], _Shared] = {}
        self._kept: set[Looking] = set()

    async def of(
        self,
        source: str,
        host: str,
        port: int,
        *,
        is_container: bool = False,
        is_roots: Callable[[], bool] = lambda: False,
    ) -> Sequence[Address]:
        """As `Resolve`, on behalf of this source. `is_roots`: only asked if it has none left."""
        shared = self._running.get((host, port))
        if shared is None or self._loop.time() - shared.began > _SHARED_S:
            used_up = self._by_source.get(source)
            if used_up is not None and used_up.free.locked() and not is_container and is_roots():
                source = ROOTS
            shared = await self._begun(source, host, port, is_container=is_container)
        try:
            return await asyncio.shield(shared.looking)  # its slot is free when it ends, whoever waits
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no thread left for a look-up") from error

    def forget(self) -> None:
        """This may be another network: nobody waits for answers of the last one any more."""
        self._running.clear()

    async def _begun(self, source: str, host: str, port: int, *, is_container: bool) -> _Shared:
        if is_container and self._of_containers >= FEW:
            (source,) = self._whose([source])
        self._of_containers += is_container
        slots = self._by_source.setdefault(source, _Slots())
        slots.users += 1
        limits = (slots.free, self._free_for_containers, self._free) if is_container else (slots.free, self._free)
        taken: list[asyncio.Semaphore] = []
        try:
            for limit in limits:
                await limit.acquire()
                taken.append(limit)
        except BaseException:
            self._give_back(source, slots, taken, is_container=is_container)
            raise
        shared = _Shared(self._loop.create_task(self._resolve(host, port)), self._loop.time())
        self._running[host, port] = shared
        self._kept.add(shared.looking)

        def done(looking: Looking) -> None:
            self._kept.discard(looking)
            if self._running.get((host, port)) is shared:
                del self._running[host, port]
            self._give_back(source, slots, taken, is_container=is_container)
            if not looking.cancelled():
                looking.exception()  # nobody may be waiting for it

        shared.looking.add_done_callback(done)
        return shared

    def _give_back(self, source: str, slots: _Slots, taken: Sequence[asyncio.Semaphore], *, is_container: bool) -> None:
        self._of_containers -= is_container
        for limit in taken:
            limit.release()
        slots.users -= 1
        if not slots.users:
            self._by_source.pop(source, None)

"""A way that is open for one client: what goes over it is counted, and it is ended if it must be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from agent.probe.stream import Stream
from agent.relay.draining import Draining, keep_alive
from agent.relay.open import Opened
from agent.relay.pump import Carrying, Ended, Pipes, TlsTunnel, Tunnel
from agent.relay.tally import Tally
from agent.relay.weight import widen


class Common(Protocol):
    """What all connections of one relay share."""

    live: set[Carried]
    pipes: Pipes
    draining: Draining
    tally: Tally
    note: Callable[[], None]  # something was counted


class Carried(Opened):
    """What is open to an end, counted, and ended if it must be."""

    __slots__ = (
        "_counted", "_down", "_is_here", "_is_open", "_serving", "_tunnel", "_up",
        "client", "how", "is_kept", "task", "touched",
    )  # fmt: skip

    def __init__(self, serving: Common, client: socket.socket, opened: Opened, *, is_here: bool) -> None:
        """`is_here`: the client is on this host; if it ends there, the kernel says so."""
        super().__init__(opened.way, *opened.taken(), is_to_proxy=opened.is_to_proxy)
        self._is_here = is_here
        self.client = client
        self._serving = serving
        self._up = self._down = 0
        self._counted = (0, 0)
        self._tunnel: Carrying | None = None
        self._is_open = True
        self.task = asyncio.current_task()
        self.how: Ended | None = None  # ended by somebody else's decision
        self.is_kept = False  # for a next request: nothing is under way on it
        self.touched = self._loop.time()
        widen(client, None)
        serving.tally.note_opened(self.way.counted_as)
        serving.live.add(self)
        serving.draining.add(self)
        serving.note()

    # As `Open` of draining.

    @property
    def end(self) -> socket.socket | None:
        return self.connected if self._is_open else None

    @property
    def is_half_closed(self) -> bool:
        return False  # of a request, `forward` sees to that

    @property
    def held(self) -> int:
        over, received = self.taken()
        return len(received) + (over.held if isinstance(over, Stream) else 0)

    @property
    def is_open(self) -> bool:
        return self._is_open

    def finish(self, how: Ended) -> None:
        if self._tunnel is not None:
            self._tunnel.finish(how)
        elif self.is_kept:
            self._drop()
        elif self.how is None and self.task is not None:
            self.how = how
            self.task.cancel()

    def _drop(self) -> None:
        """The client has lost nothing by it: its next request gets another connection."""
        self._leave()
        over, _ = self.taken()
        if isinstance(over, Stream):
            over.reset()
        else:
            over.close()

    # As it was opened.

    async def read(self) -> bytes:
        data = await super().read()
        self.touched = self._loop.time()
        self._down += len(data)
        return data

    async def write(self, data: bytes) -> None:
        await super().write(data)
        self.touched = self._loop.time()
        self._up += len(data)

    def note_poured(self, count: int) -> None:
        self.touched = self._loop.time()
        self._down += count

    async def aclose(self) -> None:
        self._leave()
        await super().aclose()

    # As a tunnel.

    @property
    def moved(self) -> tuple[int, int]:
        up, down = self._tunnel.moved if self._tunnel is not None else (0, 0)
        return self._up + up, self._down + down

    async def become_tunnel(self, rest: bytes) -> Carrying:
        """All that comes goes through what is to be run now; then call `end_tunnel`, however it ended.

        `rest`: what the client has sent already.
        """
        over, received = self.taken()
        try:
            if received:
                await self._loop.sock_sendall(self.client, received)
                self._down += len(received)
            if rest:
                await self.write(rest)
        except BaseException:
            await self.aclose()
            raise
        keep_alive((self.connected,) if self._is_here else (self.client, self.connected))
        serving = self._serving
        serving.draining.discard(self)
        client, pipes = self.client, serving.pipes
        if isinstance(over, Stream):
            self._tunnel = TlsTunnel(client, over, rounds=pipes.rounds)
        else:
            self._tunnel = Tunnel(client, over, pipes)
        serving.draining.add(self._tunnel)
        return self._tunnel

    def end_tunnel(self) -> None:
        """Also if it has ended by itself, or has not become one."""
        if self._tunnel is not None:
            self._tunnel.finish(Ended.STOPPED)  # if it was cancelled
            self._serving.draining.discard(self._tunnel)
        self._leave()

    def count(self) -> None:
        up, down = self.moved
        if (up, down) != self._counted:
            self._serving.tally.note_moved(self.way.counted_as, up - self._counted[0], down - self._counted[1])
            self._counted = up, down

    def _leave(self) -> None:
        if self._is_open:
            self._is_open = False
            self.count()
            serving = self._serving
            serving.live.discard(self)
            serving.draining.discard(self)
            serving.tally.note_closed(self.way.counted_as)
            serving.note()

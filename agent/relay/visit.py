"""One client's connection, from its first byte to the line in the log: what it wants, and the way there.

Not known here: who may connect, and how many (`serving.py`); how a way is opened (`open.py`), and what the bytes of a
request mean (`conversation.py`).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from agent.relay import refusals
from agent.relay.carried import Carried, Common
from agent.relay.client import Client
from agent.relay.connections_log import Line
from agent.relay.conversation import Connect, Conversation, Event, Gone, Phase, Request
from agent.relay.forward import ByOrders, Forwarding, Result, Shared
from agent.relay.limits import Whose, counts_for
from agent.relay.open import Asked, NotOpened, Opened, Opening
from agent.relay.pump import Ended, reset
from agent.relay.refusals import Refusal
from agent.relay.turns import LARGE_HEAD, Turns
from agent.relay.ways import Way, Ways
from agent.system.clock import rfc3339
from agent.values.relay import Source

_HEAD: Final = 8 * 1024  # bytes, read at once: what comes after a head waits in the kernel, which bounds it


class Patience(msgspec.Struct, frozen=True):
    """How long clients may take, and the agent."""

    head_s: float = 10.0  # for the head of a request, and for its first byte on a new connection
    next_s: float = 60.0  # for the next request on a connection that has been served
    # For the agent to judge a bridge: it wakes within a second, or five if it just did. Clients wait for longer.
    word_s: float = 8.0


PATIENCE: Final = Patience()


class Visited(Common, Protocol):
    """The relay, as one visit needs it."""

    opening: Opening
    patience: Patience
    shared: Shared
    heads: Turns
    whose: Whose
    writes_down: bool
    log: Callable[[Line], None]

    def ways_now(self) -> Ways:
        """Raises NotOpened."""
        ...


class _ByOrders:
    """How a request's end is reached, counted."""

    def __init__(self, serving: Visited, visit: Visit, by_orders: ByOrders, *, is_here: bool) -> None:
        self._serving = serving
        self._visit = visit
        self._is_here = is_here
        self._by_orders = by_orders
        self.carried: Carried | None = None  # the last

    async def open(self, request: Request) -> Opened:
        self._visit.wait()
        try:
            opened = await self._by_orders.open(request)
            self.carried = Carried(self._serving, self._visit.client, opened, is_here=self._is_here)
        finally:
            self._serving.note()
        self._serving.draining.discard(self._visit)
        return self.carried

    def keep(self, *, is_kept: bool) -> None:
        """Between two requests, or not any more."""
        if self.carried is not None:
            self.carried.is_kept = is_kept

    def note_refused(self, request: Request, way: Way, evidence: str) -> None:
        self._by_orders.note_refused(request, way, evidence)
        self._serving.note()

    async def may_follow(self, request: Request, kept: Opened) -> bool:
        if self.carried is None or not self.carried.is_open:
            return False
        return await self._by_orders.may_follow(request, kept)


class Visit:
    """One client's connection."""

    __slots__ = (
        "_asked", "_began", "_client", "_is_roots", "_loop", "_peer", "_serving", "_source", "_task",
        "end", "held", "is_half_closed", "touched",
    )  # fmt: skip

    def __init__(
        self, serving: Visited, connected: socket.socket, source: Source, *, peer: str, is_roots: Callable[[], bool]
    ) -> None:
        self._serving = serving
        self._client = Client(connected)
        self._source = source
        self._peer = peer
        self._is_roots = is_roots
        self._asked: Conversation | None = None  # while it may still be answered
        self._began = time.time()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        # As `Open` of draining, while no way is open: what it sends meanwhile is held.
        self.end: socket.socket | None = None
        self.is_half_closed = False
        self.held = 0  # of a head at most 64 KB
        self.touched = self._loop.time()

    @property
    def client(self) -> socket.socket:
        return self._client.connected

    def wait(self) -> None:
        """For a way to open."""
        self.touched = self._loop.time()
        self._serving.draining.add(self)

    def finish(self, how: Ended) -> None:  # noqa: ARG002 - a Protocol's
        if self._task is not None:
            self._task.cancel()

    async def begun(self) -> tuple[Carried, bytes, Connect] | None:
        """An open tunnel, and what the client has sent into it already; None: it is served, or gone.

        Apart from what carries it, so that a tunnel that lasts for hours does not keep what its head was read with.
        """
        self._asked = conversation = Conversation()
        event: Event | None = await self._event(conversation, self._serving.patience.head_s)
        if isinstance(event, Request):
            event = await self._requests(conversation, event)
            self._began = time.time()
        if isinstance(event, Connect):
            carried = await self._opened(conversation, event)
            self._asked = None
            del self._is_roots
            return None if carried is None else (carried, conversation.rest, event)
        await self._part(conversation, event)
        return None

    def last_word(self) -> bytes:
        """What a client that still waits for its way to open is told when time is up."""
        asked = self._asked
        if asked is None or asked.phase in (Phase.IDLE, Phase.OVER):
            return b""
        return asked.refuse(refusals.stopping())

    async def _event(self, conversation: Conversation, within_s: float) -> Event:
        """What the client wants. A head that has begun has its own limit."""
        head_s = self._serving.patience.head_s
        try:
            async with asyncio.timeout(within_s) as limit:
                while True:
                    if conversation.held > LARGE_HEAD:  # the first time, too: it may have come with the end of a body
                        await self._serving.heads.next(self._counts_for, is_first=False)
                    if (event := conversation.next_event()) is not None:
                        return event
                    conversation.receive(await self._client.read(_HEAD))
                    if conversation.phase is Phase.HEAD and within_s > head_s:
                        within_s = head_s
                        limit.reschedule(self._loop.time() + head_s)
        except TimeoutError:
            return refusals.too_slow() if conversation.phase is Phase.HEAD else Gone(is_cut_off=False)

    def _counts_for(self) -> str:
        is_container = self._source is Source.CONTAINERS
        return counts_for(self._peer, self._serving.whose, is_container=is_container, is_roots=self._is_roots)

    async def _part(self, conversation: Conversation, event: Event | None) -> None:
        if isinstance(event, Refusal):
            await self._client.write(conversation.refuse(event))
            await self._client.part()

    # CONNECT.

    async def carry(self, carried: Carried, rest: bytes, asked: Connect) -> None:
        how = Ended.BROKEN
        try:
            tunnel = await carried.become_tunnel(rest)
            how = await tunnel.run()  # for hours: no coroutine lies between that could be done without
        except asyncio.CancelledError:
            how = carried.how or Ended.STOPPED
            if carried.how is None:
                raise
            reset(self._client.connected)
        finally:
            carried.end_tunnel()
            self._written(asked.host, asked.port, carried, how.value)

    async def _opened(self, conversation: Conversation, asked: Connect) -> Carried | None:
        serving = self._serving
        try:
            wanted = Asked(asked.host, asked.port, self._source, self._peer, is_roots=self._is_roots)
            opened = await serving.opening.open(wanted, serving.ways_now())
        except NotOpened as failure:
            serving.note()
            self._log(asked.host, asked.port, failure.upstream, moved=(0, 0), result=failure.refusal.reason)
            await self._part(conversation, failure.refusal)
            return None
        is_here = self._source is Source.LOOPBACK
        serving.draining.discard(self)
        carried = Carried(serving, self._client.connected, opened, is_here=is_here)
        try:
            await self._client.write(conversation.established())
        except BaseException:
            await carried.aclose()
            raise
        return carried

    # Whole URLs.

    async def _requests(self, conversation: Conversation, event: Event) -> Event | None:
        """What comes after them; None: nothing more can be said."""
        serving = self._serving
        by_orders = ByOrders(
            serving.opening, serving.ways_now, source=self._source, peer=self._peer, is_roots=self._is_roots
        )
        is_here = self._source is Source.LOOPBACK
        opener = _ByOrders(serving, self, by_orders, is_here=is_here)
        forwarding = Forwarding(conversation, self._client, opener, shared=serving.shared, whose=self._counts_for)
        try:
            while isinstance(event, Request):
                self._began = time.time()
                before = forwarding.moved_up, forwarding.moved_down
                opener.keep(is_kept=False)
                result = await forwarding.carry(event)
                if result is Result.TUNNEL:
                    await self._switched(forwarding, opener, event)
                    return None
                moved = forwarding.moved_up - before[0], forwarding.moved_down - before[1]
                self._log(event.host, event.port, forwarding.upstream, moved=moved, result=result.name.lower())
                if result is Result.RESET:
                    reset(self._client.connected)
                    return None
                if result is Result.PART:
                    await self._client.part()
                    return None
                opener.keep(is_kept=True)
                event = await self._event(conversation, self._serving.patience.next_s)
        except asyncio.CancelledError:
            if opener.carried is None or opener.carried.how is None:
                raise
            reset(self._client.connected)
            return None
        finally:
            await forwarding.aclose()  # after a tunnel, once more
        return event

    async def _switched(self, forwarding: Forwarding, opener: _ByOrders, asked: Request) -> None:
        carried = opener.carried
        assert carried is forwarding.switched()  # noqa: S101 - the last that was opened
        try:
            tunnel = await carried.become_tunnel(b"")
            how = await tunnel.run()
        finally:
            carried.end_tunnel()
        self._written(asked.host, asked.port, carried, how.value)

    # What is written down.

    def _written(self, host: str, port: int, carried: Carried, result: str) -> None:
        self._log(host, port, carried.way.upstream, moved=carried.moved, result=result)

    def _log(self, host: str, port: int, upstream: str, *, moved: tuple[int, int], result: str) -> None:
        if not self._serving.writes_down:
            return
        now = time.time()
        self._serving.log(
            Line(
                rfc3339(now), self._peer, host, port,
                upstream=upstream, up=moved[0], down=moved[1],
                seconds=round(max(0.0, now - self._began), 3), result=result,
            )
        )  # fmt: skip

"""Serve each connection: let it in or not, read its request, connect it there, and write it to the log.

Each connection is a task of its own. This is the shell: who may, where to, how it is opened and what the bytes mean is
decided elsewhere in this folder.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from agent.probe.stream import Stream
from agent.relay import refusals
from agent.relay.arrivals import FEW, MOST, Arrivals, Turn
from agent.relay.client import Client, Sight
from agent.relay.connections_log import Line
from agent.relay.conversation import Connect, Conversation, Event, Gone, Phase, Request
from agent.relay.draining import Draining, keep_alive
from agent.relay.forward import ByOrders, Forwarding, Result, Shared
from agent.relay.limits import THIS_HOST, Limits, Seat, counts_for
from agent.relay.noted import Kind, Noted
from agent.relay.open import Asked, NotOpened, Opened, Opening
from agent.relay.pump import Carrying, Ended, Pipes, TlsTunnel, Tunnel, reset
from agent.relay.refusals import Refusal
from agent.relay.tally import Tally
from agent.relay.turns import LARGE_HEAD, Turns
from agent.relay.ways import Way, Ways
from agent.relay.weight import OPENING, SENDING, UNREAD, widen
from agent.relay.who import End, Untold, Who
from agent.system.clock import rfc3339
from agent.values.relay import LogMode, Orders, Source

# How much is accepted in a row, before connections that may be served have their turn. For each one that is not from
# loopback, the kernel is asked where it comes from, and refusing one takes longest.
_ACCEPTED: Final = 1024
_ASKED_FOR: Final = 16
_REFUSED: Final = 128
_LEAST: Final = 64  # if as many wait as may
_TURNED_AWAY: Final = 64  # that are told why and may take their time to hear it; others are told and closed
_MOST_AT_A_BRIDGE: Final = 256
_MOST_OF_ONE: Final = 64  # of these
_CROWD: Final = "too many connect at once"
_HEAD: Final = 8 * 1024  # bytes, read at once: what comes after a head waits in the kernel, which bounds it
_PAUSE_S: Final = 0.1  # if there are no descriptors left


class Patience(msgspec.Struct, frozen=True):
    """How long clients may take, and the agent."""

    head_s: float = 10.0  # for the head of a request, and for its first byte on a new connection
    next_s: float = 60.0  # for the next request on a connection that has been served
    # For the agent to judge a bridge: it wakes within a second, or five if it just did. Clients wait for longer.
    word_s: float = 8.0


PATIENCE: Final = Patience()


class _Arrived(msgspec.Struct, frozen=True):
    """Accepted, and not served yet."""

    connected: socket.socket
    source: Source
    peer: End
    own: End


class _Guest(msgspec.Struct, frozen=True):
    """Whom a task serves; as long as a tunnel is open, this is kept."""

    connected: socket.socket
    seat: Seat
    own: str  # of ours, to which it came

    @property
    def ends(self) -> tuple[str, str]:
        return self.seat.address, self.own


_Unjudged = tuple[socket.socket, End, End]  # from there, to this end of ours


class _Waiting:
    """At one bridge."""

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.connections: list[_Unjudged] = []


class Told(msgspec.Struct, frozen=True):
    """Who is told of what happens."""

    noted: Noted  # lines for a person
    note: Callable[[], None]  # something was counted
    log: Callable[[Line], None]  # a connection has ended, and is to be written down


class Serving:
    """All connections of one relay."""

    def __init__(  # noqa: PLR0913 - named at every call
        self,
        opening: Opening,
        tally: Tally,
        *,
        who: Who,
        draining: Draining,
        told: Told,
        patience: Patience = PATIENCE,
    ) -> None:
        self.opening = opening
        self.tally = tally
        self.draining = draining
        self.patience = patience
        self.note = told.note
        self.log = told.log
        self.whose = who.whose
        self.pipes = Pipes(look=draining.look)
        # In Via, which every site reads: another name at each start, and not what this is.
        self.shared = Shared(os.urandom(8).hex().encode(), self.pipes, Turns())
        self.heads = Turns(1)
        self.writes_down = False  # each connection
        self._ways: Ways | None = None
        self.live: set[_Carried] = set()
        self._is_stopping = False
        self._noted = told.noted
        self._who = who
        self._limits = Limits(Orders(0).max_connections, who.whose)
        self._sources: tuple[Source, ...] = tuple(Source)
        self._loop = asyncio.get_running_loop()
        # One for all: nobody here has context variables, and else each would keep two copies as long as it is open.
        self._context = contextvars.copy_context()
        self._arrivals = Arrivals(self._are_roots, _is_gone, whose=self._whose, has_its_share=self._has_its_share)
        self._is_due = False  # the next turn of those
        self._waiting_at: dict[str, _Waiting] = {}  # bridges that the agent has said nothing of yet
        self._listening: dict[socket.socket, End] = {}
        self._tasks: dict[asyncio.Task[None], _Guest] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def turned_away(self) -> int:
        return self._limits.turned_away

    @property
    def is_idle(self) -> bool:
        return not self._tasks and not self._arrivals

    def obey(self, orders: Orders | None) -> None:
        """From the next connection on. None: there are no orders, and nobody is led anywhere."""
        self._ways = None if orders is None else Ways(orders, self._ways)
        if orders is not None:
            self._limits.most = orders.max_connections
            self.writes_down = orders.log is LogMode.CONNECTIONS
            are_others = self._who.keep_out(orders.internal, orders.told) or orders.sources != self._sources
            self._sources = orders.sources
            if are_others:
                self._end_who_may_not()
                for bridge in tuple(self._waiting_at):
                    self._judge(bridge)

    def ways_now(self) -> Ways:
        """Raises NotOpened."""
        if self._ways is None:
            raise NotOpened(refusals.not_ready("the agent has not said yet which upstream to use"))
        return self._ways

    def listen(self, listening: socket.socket) -> None:
        self._listening[listening] = _end(listening.getsockname())  # one for all who come to it, as long as they stay
        self._loop.add_reader(listening, self._accept, listening)

    def stop_listening(self) -> None:
        """Accepted connections are served; those that wait at the socket are left to the next relay."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
        for one in self._arrivals.all():
            self._admit(one, Turn.SERVED)

    async def aclose(self) -> None:
        """End all that is open."""
        self.stop_listening()
        for waiting in self._waiting_at.values():
            waiting.timer.cancel()
            for connected, *_ in waiting.connections:
                connected.close()
        self._waiting_at.clear()
        self._is_stopping = True
        self.draining.finish(Ended.STOPPED)
        for task in (*self._tasks, *self._leaving):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._leaving, return_exceptions=True)
        self.pipes.close()

    def count_moved(self) -> None:
        """What is on its way is counted when it is asked for."""
        for carried in self.live:
            carried.count()

    # Who connects.

    def _accept(self, listening: socket.socket) -> None:
        """Accept all that wait, so that none has to be dropped; the loop calls again for the rest."""
        own = self._listening[listening]
        left = max(_LEAST, min(_ACCEPTED, self._arrivals.room))
        while left > 0:
            try:
                connected, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                break
            except OSError as failure:  # no descriptors, no memory: it would be asked again at once
                self._noted.note(Kind.NOT_ACCEPTED, f"cannot accept connections: {failure.strerror}")
                self._loop.remove_reader(listening)
                self._loop.call_later(_PAUSE_S, self._accept_again, listening)
                break
            connected.setblocking(False)  # noqa: FBT003 - the library's
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, OPENING)
            left -= self._receive(connected, _end(address), own)
        self._take_turn()

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._listening and listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept, listening)

    def _receive(self, connected: socket.socket, peer: End, own: End) -> int:
        """How much that took."""
        try:
            source = self._source_of(peer[0], own[0])
        except Untold as untold:
            self._let_wait(untold.bridge, (connected, peer, own))
            return _ASKED_FOR
        if source is None:
            self._refuse(connected, peer[0])
            return _REFUSED
        self._arrivals.add(_Arrived(connected, source, peer, own))
        return 1 if source is Source.LOOPBACK else _ASKED_FOR

    def _let_wait(self, bridge: str, one: _Unjudged) -> None:
        """For the agent's answer: that somebody waits wakes it. Not a byte is read."""
        waiting = self._waiting_at.get(bridge)
        if waiting is None:
            timer = self._loop.call_later(self.patience.word_s, self._let_in, bridge)
            waiting = self._waiting_at[bridge] = _Waiting(timer)
            self.tally.note_untold(bridge)
            self.note()
        if len(waiting.connections) >= _MOST_AT_A_BRIDGE or self._has_many_waiting(waiting, one[1][0]):
            self._refuse(one[0], one[1][0])
        else:
            waiting.connections.append(one)

    def _has_many_waiting(self, waiting: _Waiting, peer: str) -> bool:
        if len(waiting.connections) < _MOST_OF_ONE:
            return False
        own, *others = self._who.whose([peer, *(other[0] for _, other, _ in waiting.connections)])
        return others.count(own) >= _MOST_OF_ONE

    def _judge(self, bridge: str) -> None:
        """Judge again, because there is news. That does not prolong the wait of those who still have to."""
        waiting = self._waiting_at[bridge]
        connections, waiting.connections = waiting.connections, []
        for one in connections:
            self._receive(*one)
        if not waiting.connections:
            waiting.timer.cancel()
            del self._waiting_at[bridge]
            self.tally.note_told(bridge)
        self._take_turn()

    def _let_in(self, bridge: str) -> None:
        """The agent says nothing: it is stopped, or paused, or Docker does not answer it."""
        self._who.let_in(bridge)
        name = bridge.partition(" ")[2]
        self._noted.note(Kind.UNTOLD, f"let in by bridge {name}: the agent has not said whether it leads nowhere")
        self._judge(bridge)

    def _take_turn(self) -> None:
        is_crowd = len(self._arrivals) > FEW
        for one, turn in self._arrivals.next_ones(min(MOST, self.draining.room() // UNREAD) if is_crowd else MOST):
            if turn is Turn.TOO_MANY:
                self._limits.turned_away += 1
                self._turn_away_at_once(one.connected, _CROWD)
            else:
                self._admit(one, turn)
        if self._arrivals and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._take_next_turn)

    def _take_next_turn(self) -> None:
        self._is_due = False
        self._take_turn()

    def _are_roots(self, new: Sequence[_Arrived]) -> Sequence[bool]:
        """Of this host; of a container it says nothing."""
        here = [(one.peer, one.own) for one in new if one.source is Source.LOOPBACK]
        of_here = iter(self._who.are_roots(here))
        return [one.source is Source.LOOPBACK and next(of_here) for one in new]

    def _whose(self, new: Sequence[_Arrived]) -> Sequence[str]:
        """A client on this host may use any loopback address, so these are one source."""
        of_containers = iter(self._who.whose([one.peer[0] for one in new if one.source is Source.CONTAINERS]))
        return [next(of_containers) if one.source is Source.CONTAINERS else THIS_HOST for one in new]

    def _has_its_share(self, source: str, one: _Arrived) -> bool:
        return self._limits.has_its_share(source, is_container=one.source is Source.CONTAINERS)

    def _admit(self, one: _Arrived, turn: Turn) -> None:
        @functools.cache
        def is_roots() -> bool:
            return turn is Turn.ROOTS or (turn is Turn.SERVED and self._who.is_roots(one.peer, one.own))

        seat = Seat(one.peer[0], is_container=one.source is Source.CONTAINERS)
        why = self._limits.admit(seat, is_roots)
        if why:
            if turn is Turn.SERVED:
                self._turn_away(one.connected, why)
            else:
                self._turn_away_at_once(one.connected, why)
            return
        serving = self._serve(one.connected, one.source, seat.address, is_roots)
        task = self._loop.create_task(serving, context=self._context)
        self._tasks[task] = _Guest(one.connected, seat, one.own[0])
        task.add_done_callback(self._leave, context=self._context)

    def _source_of(self, peer: str, own: str) -> Source | None:
        """None: it may not use the relay. Raises Untold."""
        source = self._who.source(peer, own)
        return source if source in self._sources else None

    def _may(self, peer: str, own: str) -> bool:
        """Of one that was let in."""
        try:
            return self._source_of(peer, own) is not None
        except Untold:
            return True

    def _end_who_may_not(self) -> None:
        """By the current orders, also for clients that came before these were written."""
        for one in self._arrivals.all():
            if not self._may(one.peer[0], one.own[0]):
                self._refuse(one.connected, one.peer[0])
            else:
                self._arrivals.add(one)
        came = {ends: self._may(*ends) for ends in {one.ends for one in self._tasks.values()}}
        ending = {task for task, one in self._tasks.items() if not came[one.ends]}
        for carried in tuple(self.live):
            if carried.task in ending and not carried.is_kept:
                ending.discard(carried.task)
                carried.finish(Ended.NOT_ALLOWED)
        for task in ending:
            task.cancel()

    def _refuse(self, connected: socket.socket, peer: str) -> None:
        reset(connected)
        connected.close()
        self.tally.note_refused(peer)
        self._noted.note(Kind.REFUSED, f"refused: {peer} is neither this host nor a container of it that has a way out")
        self.note()

    def _turn_away(self, connected: socket.socket, why: str) -> None:
        if len(self._leaving) >= _TURNED_AWAY:
            self._turn_away_at_once(connected, why)
            return
        leaving = self._loop.create_task(_told(connected, self._no_room(why)))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _turn_away_at_once(self, connected: socket.socket, why: str) -> None:
        Client(connected).say_at_once(self._no_room(why))

    def _no_room(self, why: str) -> bytes:
        """What they are told."""
        self._noted.note(Kind.TURNED_AWAY, why)
        self.tally.changes += 1
        self.note()
        return _too_many(why)

    async def _serve(self, connected: socket.socket, source: Source, peer: str, is_roots: Callable[[], bool]) -> None:
        visit = _Visit(self, connected, source, peer=peer, is_roots=is_roots)
        del is_roots  # a tunnel that is open for hours has no use for it, and it keeps two addresses
        self.draining.add(visit)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING)
            opened = await visit.begun()
            if opened is not None:
                await visit.carry(*opened)
        except OSError:
            reset(connected)  # it is gone, in the middle of something
        except asyncio.CancelledError:
            if self._is_stopping and (said := visit.last_word()):
                Client(connected).say_at_once(said)
            else:
                reset(connected)
            raise
        except Exception as error:  # noqa: BLE001 - it ends this connection, and no other
            reset(connected)
            what = f"a connection was ended by an internal error of the relay: {unexpected(error)}"
            self._noted.note(Kind.BROKEN, what)
        finally:
            self.draining.discard(visit)

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Also if it was cancelled before it began."""
        one = self._tasks.pop(task)
        one.connected.close()
        self._limits.leave(one.seat)


@functools.lru_cache
def _too_many(why: str) -> bytes:
    return Conversation().refuse(refusals.too_many(why))


def unexpected(error: Exception) -> str:
    """Its kind, and where it came from; not its words, which may quote anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f", {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else ""  # noqa: PTH119
    return f"{type(error).__name__}{where}"


async def _told(connected: socket.socket, said: bytes) -> None:
    client = Client(connected)
    try:
        async with asyncio.timeout(1.0):
            await client.write(said)
            await client.part()
    except (OSError, TimeoutError):
        pass
    finally:
        connected.close()


class _Carried(Opened):
    """What is open to an end, counted, and ended if it must be."""

    __slots__ = (
        "_counted", "_down", "_is_here", "_is_open", "_serving", "_tunnel", "_up",
        "client", "how", "is_kept", "task", "touched",
    )  # fmt: skip

    def __init__(self, serving: Serving, client: socket.socket, opened: Opened, *, is_here: bool) -> None:
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
        serving.tally.note_opened(self.way.upstream)
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
        self._tunnel = TlsTunnel(client, over) if isinstance(over, Stream) else Tunnel(client, over, pipes)
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
            self._serving.tally.note_moved(self.way.upstream, up - self._counted[0], down - self._counted[1])
            self._counted = up, down

    def _leave(self) -> None:
        if self._is_open:
            self._is_open = False
            self.count()
            serving = self._serving
            serving.live.discard(self)
            serving.draining.discard(self)
            serving.tally.note_closed(self.way.upstream)
            serving.note()


class _ByOrders:
    """How a request's end is reached, counted."""

    def __init__(self, serving: Serving, visit: _Visit, by_orders: ByOrders, *, is_here: bool) -> None:
        self._serving = serving
        self._visit = visit
        self._is_here = is_here
        self._by_orders = by_orders
        self.carried: _Carried | None = None  # the last

    async def open(self, request: Request) -> Opened:
        self._visit.wait()
        try:
            opened = await self._by_orders.open(request)
            self.carried = _Carried(self._serving, self._visit.client, opened, is_here=self._is_here)
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


class _Visit:
    """One client's connection."""

    __slots__ = (
        "_asked", "_began", "_client", "_is_roots", "_loop", "_peer", "_serving", "_source", "_task",
        "end", "is_half_closed", "touched",
    )  # fmt: skip

    def __init__(
        self, serving: Serving, connected: socket.socket, source: Source, *, peer: str, is_roots: Callable[[], bool]
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

    async def begun(self) -> tuple[_Carried, bytes, Connect] | None:
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
        return asked.refuse(refusals.not_ready("the relay is being stopped or restarted"))

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

    async def carry(self, carried: _Carried, rest: bytes, asked: Connect) -> None:
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

    async def _opened(self, conversation: Conversation, asked: Connect) -> _Carried | None:
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
        carried = _Carried(serving, self._client.connected, opened, is_here=is_here)
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

    def _written(self, host: str, port: int, carried: _Carried, result: str) -> None:
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


def _end(address: tuple[Any, ...]) -> End:
    return str(address[0]).partition("%")[0], int(address[1])


def _is_gone(one: _Arrived) -> bool:
    """Also without a reset: a client that sends no more, and has asked for something, reads the answer."""
    client = Client(one.connected)
    sight = client.sight()
    return sight is Sight.GONE or (sight is Sight.HALF_CLOSED and not client.has_asked)

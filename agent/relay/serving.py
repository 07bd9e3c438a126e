"""Whoever connects: let in or not, one after the other if many come, and given a task that serves the connection.

This is the shell: who may, who is next and how many there may be is decided elsewhere in this folder; what a client
wants and where that is, in its visit (`visit.py`).
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from agent.relay import refusals
from agent.relay.arrivals import FEW, MOST, Arrivals, Turn
from agent.relay.carried import Carried
from agent.relay.client import Client, Sight
from agent.relay.connections_log import Line
from agent.relay.conversation import Conversation
from agent.relay.draining import Draining
from agent.relay.forward import Shared
from agent.relay.limits import THIS_HOST, Limits, Seat, Whose, counts_for
from agent.relay.noted import Kind, Noted
from agent.relay.open import NotOpened, Opening
from agent.relay.pump import Ended, Pipes, reset
from agent.relay.rounds import Rounds
from agent.relay.tally import Tally
from agent.relay.turns import Turns
from agent.relay.visit import PATIENCE, Patience, Visit
from agent.relay.ways import Ways
from agent.relay.weight import OPENING, SENDING, UNREAD
from agent.relay.who import End, NotYetKnown, Untold, Who, came_to
from agent.values.relay import LogMode, Orders, Source

# How much is accepted in a row, before connections that may be served have their turn. For each one that is not from
# loopback, the kernel is asked where it comes from, and refusing one takes longest. One of them that has gone again is
# only closed: anybody in the network can fill the queue with such, and containers would have no place in it.
_ACCEPTED: Final = 1024
_GONE: Final = 4
_ASKED_FOR: Final = 16
_REFUSED: Final = 128
_LEAST: Final = 64  # if as many wait as may
_TURNED_AWAY: Final = 64  # that are told why and may take their time to hear it; others are told and closed
_MOST_WAITING: Final = 256  # for the kernel, and at each bridge for the agent
_MOST_OF_ONE: Final = 64  # of these
_CROWD: Final = "too many connect at once"
_TOO_MANY_WAIT: Final = "too many wait until it is known whether they may use the relay"
_NOT_SAID: Final = "the kernel has not said from which bridge they come"
_PAUSE_S: Final = 0.1  # if there are no descriptors left
_ASKS_AGAIN_S: Final = 0.25  # where the kernel has not answered
_JUDGES_AGAIN_S: Final = 1.0  # those that are open: it is asked about each


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
        self.whose: Whose = who.whose
        self.pipes = Pipes(look=draining.look, rounds=Rounds(self._whose_is))
        # In Via, which every site reads: another name at each start, and not what this is.
        self.shared = Shared(os.urandom(8).hex().encode(), self.pipes, Turns())
        self.heads = Turns(1)
        self.writes_down = False  # each connection
        self._ways: Ways | None = None
        self.live: set[Carried] = set()
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
        self._unanswered: list[tuple[float, _Unjudged]] = []  # until when they wait for the kernel
        self._asks_again: asyncio.TimerHandle | None = None
        self._judges_again: asyncio.TimerHandle | None = None
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
            raise NotOpened(
                refusals.not_ready("not told yet by docker-proxy-agent which upstream to use: does it run?")
            )
        return self._ways

    def listen(self, listening: socket.socket) -> None:
        self._listening[listening] = _end(listening.getsockname())  # one for all who come to it, as long as they stay
        self._loop.add_reader(listening, self._accept, listening)

    def stop_listening(self) -> None:
        """Accepted connections are served when it is their turn; others are left to the next relay."""
        for listening in self._listening:
            self._loop.remove_reader(listening)

    async def aclose(self) -> None:
        """End all that is open."""
        self.stop_listening()
        for arrived in self._arrivals.all():
            arrived.connected.close()
        for waiting in self._waiting_at.values():
            waiting.timer.cancel()
            for connected, *_ in waiting.connections:
                connected.close()
        self._waiting_at.clear()
        for timer in (self._asks_again, self._judges_again):
            if timer is not None:
                timer.cancel()
        for _, (connected, *_) in self._unanswered:
            connected.close()
        self._unanswered.clear()
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
        left = most = max(_LEAST, min(_ACCEPTED, self._arrivals.room))
        is_here = came_to(own[0]) is Source.LOOPBACK
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
            if left < most and not is_here and _has_gone(connected):  # but the first is judged, and recorded
                connected.close()
                left -= _GONE
                continue
            connected.setblocking(False)  # noqa: FBT003 - the library's
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, OPENING)
            left -= self._receive(connected, _end(address), own)
        self._take_turn()

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._listening and listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept, listening)

    def _receive(self, connected: socket.socket, peer: End, own: End, until: float | None = None) -> int:
        """How much that took. `until`: the loop's time up to which it waits for the kernel's answer."""
        try:
            source = self._source_of(peer[0], own[0])
        except Untold as untold:
            self._let_wait(untold.bridge, (connected, peer, own))
            return _ASKED_FOR
        except NotYetKnown:
            self._ask_again_later((connected, peer, own), until)
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
        if self._is_one_too_many(waiting.connections, one):
            self._turn_away_unknown(one[0], _TOO_MANY_WAIT)
        else:
            waiting.connections.append(one)

    def _ask_again_later(self, one: _Unjudged, until: float | None) -> None:
        now, why = self._loop.time(), ""
        if until is None:
            until = now + self.patience.word_s
            if self._is_one_too_many([other for _, other in self._unanswered], one):
                why = _TOO_MANY_WAIT
        elif now >= until:
            why = _NOT_SAID
        if why:
            self._turn_away_unknown(one[0], why)
            return
        self._unanswered.append((until, one))
        if self._asks_again is None:
            self._asks_again = self._loop.call_later(_ASKS_AGAIN_S, self._ask_again)

    def _ask_again(self) -> None:
        self._asks_again = None
        waiting, self._unanswered = self._unanswered, []
        for until, one in waiting:
            self._receive(*one, until)
        self._take_turn()

    def _is_one_too_many(self, waiting: Sequence[_Unjudged], one: _Unjudged) -> bool:
        """There is a bound for all, and a share of it for each source."""
        if not _MOST_OF_ONE <= len(waiting) < _MOST_WAITING:
            return len(waiting) >= _MOST_WAITING
        own, *others = self._who.whose([peer for _, (peer, _), _ in (one, *waiting)])
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

    def _whose_is(self, client: socket.socket) -> str:
        """Of one that is open."""
        try:
            peer, own = _end(client.getpeername()), _end(client.getsockname())
        except OSError:  # it is gone
            return ""
        is_container = came_to(own[0]) is Source.CONTAINERS
        return counts_for(
            peer[0], self._who.whose, is_container=is_container, is_roots=lambda: self._who.is_roots(peer, own)
        )

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
        """None: it may not use the relay. Raises Untold and NotYetKnown: it is a container, or nobody."""
        try:
            source = self._who.source(peer, own)
        except (Untold, NotYetKnown):
            if Source.CONTAINERS in self._sources:
                raise
            return None
        return source if source in self._sources else None

    def _may(self, peer: str, own: str) -> bool:
        """Of one that was let in. Where the kernel has not answered, it is asked again."""
        try:
            return self._source_of(peer, own) is not None
        except NotYetKnown:
            if self._judges_again is None:
                self._judges_again = self._loop.call_later(_JUDGES_AGAIN_S, self._judge_again)
        except Untold:
            pass
        return True

    def _judge_again(self) -> None:
        self._judges_again = None
        self._end_who_may_not()

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

    def _turn_away_unknown(self, connected: socket.socket, why: str) -> None:
        """It is not known whether it may use the relay, so it is told nothing, nor recorded as one that may not."""
        reset(connected)
        connected.close()
        self._limits.turned_away += 1
        self._note_turned_away(why)

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
        self._note_turned_away(why)
        return _too_many(why)

    def _note_turned_away(self, why: str) -> None:
        self._noted.note(Kind.TURNED_AWAY, why)
        self.tally.changes += 1
        self.note()

    async def _serve(self, connected: socket.socket, source: Source, peer: str, is_roots: Callable[[], bool]) -> None:
        visit = Visit(self, connected, source, peer=peer, is_roots=is_roots)
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


def _end(address: tuple[Any, ...]) -> End:
    return str(address[0]).partition("%")[0], int(address[1])


def _is_gone(one: _Arrived) -> bool:
    return _has_gone(one.connected)


def _has_gone(connected: socket.socket) -> bool:
    """Also without a reset: a client that sends no more, and has asked for something, reads the answer."""
    client = Client(connected)
    sight = client.sight()
    return sight is Sight.GONE or (sight is Sight.HALF_CLOSED and not client.has_asked)

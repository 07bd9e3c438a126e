"""Requests for whole http URLs, one after the other on one client's connection: sent on, and their answers sent back.

Body and answer flow at the same time, because a server may answer before it has the whole body. A connection that is
still good after an answer is kept for the client's next request to the same host, but only for a repeatable one: the
server may close such a connection at any moment, and then it is not known whether it has seen the request.

Not known here: how a connection is opened (`open.py`), and what a tunnel is after a switch (`pump.py`).
"""

from __future__ import annotations

import asyncio
import enum
import socket
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from agent.probe.through_proxy import authorization, known
from agent.relay import refusals
from agent.relay.client import Client, Sight
from agent.relay.conversation import AnswerHead, Conversation, Event, Phase, Piece, Request, RequestEnd
from agent.relay.headers import were_passed_on_by
from agent.relay.open import Asked, NotOpened, Opened, Opening
from agent.relay.outward import AnswerEnd, Failed, Form, Outward, OutwardEvent, Provisional, Switched
from agent.relay.pour import Pouring, SinkLost, SourceLost
from agent.relay.pump import Pipes
from agent.relay.refusals import Refusal
from agent.relay.turns import LARGE_HEAD, Turns
from agent.relay.ways import Way, Ways
from agent.values.relay import Source

IDLE_S: Final = 3600.0  # nothing comes either way
HALF_OPEN_S: Final = 300.0  # and the client sends no more
_POURED: Final = 128 * 1024  # bytes that are left of a body; less is not worth it
LOOK_S: Final = 30.0  # while nothing comes: how often to check that somebody still waits for it
LEAVES_S: Final = 1.0  # while the client sends a body: how often to check that it is still there
_EVENTS: Final = 16  # that are handled in one turn: less than half a millisecond
_SELDOM: Final = 8  # turns

_REPEATABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Opener(Protocol):
    """How the end is reached, by the current orders."""

    async def open(self, request: Request) -> Opened:
        """Raises NotOpened."""

    async def may_follow(self, request: Request, kept: Opened) -> bool:
        """Whether the request may take a connection that was opened for the same host and port before."""

    def note_refused(self, request: Request, way: Way, evidence: str) -> None:
        """A proxy wants another password."""


class ByOrders:
    """For one client, by whatever the orders are when it asks."""

    def __init__(
        self,
        opening: Opening,
        ways: Callable[[], Ways],
        *,
        source: Source,
        peer: str,
        is_roots: Callable[[], bool] = lambda: False,
    ) -> None:
        self._opening = opening
        self._ways = ways
        self._source = source
        self._peer = peer
        self._is_roots = is_roots
        self._opened_by: Ways | None = None

    async def open(self, request: Request) -> Opened:
        self._opened_by = self._ways()
        return await self._opening.open(self._asked(request), self._opened_by)

    async def may_follow(self, request: Request, kept: Opened) -> bool:
        return self._ways() is self._opened_by and await self._opening.may_follow(self._asked(request), kept)

    def note_refused(self, request: Request, way: Way, evidence: str) -> None:
        if self._opened_by is not None:
            self._opening.note_refused(self._asked(request), way, self._opened_by, evidence)

    def _asked(self, request: Request) -> Asked:
        return Asked(
            request.host,
            request.port,
            source=self._source,
            peer=self._peer,
            is_tunnel=False,
            path=request.path,
            is_switch=bool(request.upgrade),
            is_roots=self._is_roots,
        )


class Result(enum.Enum):
    """What is to be done with the client's connection then."""

    NEXT = "it may ask again"
    PART = "it has its last answer"
    RESET = "it is gone, or has half an answer"
    TUNNEL = "bytes go through from now on"


class _Kept(msgspec.Struct, frozen=True):
    host: str
    port: int
    opened: Opened


class _Body(msgspec.Struct, frozen=True):
    """What of it has come with the head."""

    pieces: list[bytes]
    is_whole: bool = False


class _GivenUp(Exception):
    """Nothing has come for too long."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.what)
        self.failed = failed


class _ClientLost(Exception):
    """It is gone, or what it sends is no body any more."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__()
        self.refusal = refusal


class Turn:
    """Yields to other connections: awaiting a ready socket does not yield, and a stranger can keep it ready."""

    def __init__(self, turns: Turns, whose: Callable[[], str] = str) -> None:
        self._turns = turns
        self._whose = whose
        self._waited = 0
        self._left = _EVENTS

    async def event(self) -> None:
        """One more event is handled: a piece of one byte takes as long as a large one."""
        self._left -= 1
        if self._left <= 0:
            self._left = _EVENTS
            self._waited += 1
            await self._turns.next(self._whose, is_first=self._waited <= _SELDOM)

    async def over(self) -> None:
        """Before a read."""
        await self.event()
        await asyncio.sleep(0)


class Shared(msgspec.Struct, frozen=True):
    """What all connections of one relay have in common."""

    name: bytes  # its own, in Via, unlike any other relay's: a request that passed both would look like a loop
    pipes: Pipes
    turns: Turns
    look_s: float = LOOK_S
    leaves_s: float = LEAVES_S


class Forwarding:
    """Of one client's connection. Use `aclose` at its end, but after a TUNNEL."""

    def __init__(
        self,
        conversation: Conversation,
        client: Client,
        opener: Opener,
        *,
        shared: Shared,
        whose: Callable[[], str] = str,
    ) -> None:
        """`whose`: the source that the client counts for, where many wait for their turn."""
        self._conversation = conversation
        self._client = client
        self._opener = opener
        self._shared = shared
        self._kept: _Kept | None = None
        self._touched = 0.0
        self._awaited: int | None = None  # bytes of the client's body that were not read yet; None: not known
        self._is_sending = False  # all of it that was read
        self._whose = whose
        self._up, self._down = Turn(shared.turns, whose), Turn(shared.turns, whose)
        self._loop = asyncio.get_running_loop()
        self.upstream = ""  # that the last request went through
        self.moved_up = self.moved_down = 0  # bytes of bodies and heads, as the client sees them

    async def carry(self, request: Request) -> Result:
        """Send it on, and answer it."""
        if were_passed_on_by(request.headers, self._shared.name):
            return await self._refuse(Refusal(508, "the upstream leads back to this relay"))
        self._touched = self._loop.time()
        self._awaited = _length(request)
        try:
            body = await self._come_already()
            kept = await self._kept_for(request)
            if kept is not None:
                result = await self._exchange(request, kept, body)
                if not (isinstance(result, Failed) and result.is_before_any_byte):
                    return await self._told(kept, result)
            opened = await self._opener.open(request)
            return await self._told(opened, await self._exchange(request, opened, body))
        except NotOpened as error:
            return await self._refuse(error.refusal)
        except _ClientLost as lost:
            return await self._refuse(lost.refusal) if lost.refusal else Result.RESET

    def switched(self) -> Opened:
        """After a TUNNEL: what the client is connected to. All bytes that came before have been passed on."""
        assert self._kept is not None  # noqa: S101 - the caller's mistake
        return self._kept.opened

    async def aclose(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.opened.aclose()

    # The connection.

    async def _kept_for(self, request: Request) -> Opened | None:
        kept = self._kept
        if kept is None:
            return None
        is_same = (kept.host, kept.port) == (request.host, request.port)
        is_good = is_same and _is_repeatable(request) and kept.opened.is_quiet
        if is_good and await self._opener.may_follow(request, kept.opened):
            self._kept = None
            return kept.opened
        await self.aclose()
        return None

    # One request and its answer.

    async def _exchange(self, request: Request, opened: Opened, body: _Body) -> Result | Failed:
        self.upstream = opened.way.upstream
        outward = Outward(request, _form(self._shared.name, opened))
        is_kept = False
        try:
            result = await self._both_ways(opened, outward, body)
            if isinstance(result, Failed) and result.wants_password and opened.is_to_proxy:
                self._opener.note_refused(request, opened.way, result.what)
            is_next = result is Result.NEXT and outward.is_reusable and not request.upgrade
            is_kept = is_next or result is Result.TUNNEL
            if is_kept:
                self._kept = _Kept(request.host, request.port, opened)
            return result
        finally:
            if not is_kept:
                await opened.aclose()

    async def _both_ways(self, opened: Opened, outward: Outward, body: _Body) -> Result | Failed:
        sent = [outward.head(), *map(outward.piece, body.pieces), outward.end() if body.is_whole else b""]
        is_open = await self._send(opened, b"".join(sent))
        if body.is_whole or not is_open:
            return await self._answer(opened, outward)
        gone: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send_body(opened, outward))
                watching = tasks.create_task(self._watch_client())
                result = await self._answer(opened, outward)
                sending.cancel()
                watching.cancel()
        except* _ClientLost as lost:
            gone += lost.exceptions  # raised from here, Python up to 3.11.2 would put it into a group again
        if gone:
            raise gone[0]
        return result

    async def _come_already(self) -> _Body:
        pieces: list[bytes] = []
        while event := self._conversation.next_event():
            await self._up.event()
            if not isinstance(event, Piece):
                return _Body(pieces, is_whole=_is_end(event))
            pieces.append(self._taken(event.data))
        return _Body(pieces)

    async def _send_body(self, opened: Opened, outward: Outward) -> None:
        while True:
            pieces: list[bytes] = []  # of one read: single bytes are not sent in a packet each
            while isinstance(event := self._conversation.next_event(), Piece):
                pieces.append(self._taken(event.data))
                await self._up.event()
            self._is_sending = True
            if pieces and not await self._send(opened, outward.piece(b"".join(pieces))):
                return
            self._is_sending = False
            if event is None:
                self._conversation.receive(await self._from_client())
            elif _is_end(event):
                await self._send(opened, outward.end())
                return

    def _taken(self, data: bytes) -> bytes:
        if self._awaited is not None:
            self._awaited -= len(data)
        return data

    async def _watch_client(self) -> None:
        """While the receiver of the body is slow, nothing is read from the client. Raises _ClientLost."""
        while True:
            await asyncio.sleep(self._shared.leaves_s)
            sight = self._client.sight()
            is_cut_off = self._is_sending and self._awaited is not None and self._client.unread < self._awaited
            if sight is Sight.GONE or (sight is Sight.HALF_CLOSED and is_cut_off):
                raise _ClientLost

    async def _answer(self, opened: Opened, outward: Outward) -> Result | Failed:
        try:
            return await self._answered(opened, outward)
        except _GivenUp as end:
            return end.failed

    async def _answered(self, opened: Opened, outward: Outward) -> Result | Failed:
        while True:
            said: list[bytes] = []
            result: Result | Failed | None = None
            while result is None and (event := outward.next_event()) is not None:
                result = event if isinstance(event, Failed) else self._say(event, said)
                await self._down.event()
            if said:
                await self._to_client(b"".join(said))
            if result is Result.TUNNEL and not await self._send(opened, self._conversation.rest):
                return Result.RESET
            if result is not None:
                return result
            if outward.left >= _POURED and (end := _bare(opened)):
                if failed := await self._pour(opened, end, outward):
                    return failed
                continue
            heard = await self._heard(opened)
            if heard is None:
                return outward.lost()
            outward.receive(heard)
            if outward.held > LARGE_HEAD:
                await self._shared.turns.next(self._whose, is_first=False)

    async def _pour(self, opened: Opened, end: socket.socket, outward: Outward) -> Failed | None:
        """The rest of a large body, without a copy."""
        left = outward.left

        def moved(count: int) -> None:
            self._touched = self._loop.time()
            self.moved_down += count
            opened.note_poured(count)

        pouring = Pouring(end, self._client.connected, left, pipes=self._shared.pipes, moved=moved)
        try:
            await pouring.all(self._shared.look_s, self._look)
        except SinkLost as error:
            raise _ClientLost from error
        except SourceLost:
            return Failed("closed in the middle of its answer")
        self._conversation.pour(left)
        outward.pour()
        return None

    def _say(self, event: OutwardEvent, said: list[bytes]) -> Result | None:
        conversation = self._conversation
        match event:
            case Piece():
                said.append(conversation.answer_piece(event.data))
            case AnswerHead():
                said.append(conversation.begin_answer(event))
            case Provisional():
                said.append(conversation.provisional(event.head))
            case Switched():
                said += [conversation.switch(event.head), event.rest]
                return Result.TUNNEL
            case AnswerEnd():
                said.append(conversation.end_answer())
                return Result.NEXT if conversation.phase is Phase.IDLE else Result.PART
        return None

    # What cannot be answered as it was asked.

    async def _told(self, opened: Opened, result: Result | Failed) -> Result:
        return (
            await self._refuse(refusals.no_way(opened.way.upstream, result.what))
            if isinstance(result, Failed)
            else result
        )

    async def _refuse(self, refusal: Refusal) -> Result:
        said = self._conversation.refuse(refusal)
        if not said:
            return Result.RESET
        try:
            await self._to_client(said)
        except _ClientLost:
            return Result.RESET
        return Result.PART

    # Bytes.

    async def _from_client(self) -> bytes:
        await self._up.over()
        try:
            data = await self._client.read()
        except OSError as error:
            raise _ClientLost from error
        self._touched = self._loop.time()
        return data

    async def _to_client(self, data: bytes) -> None:
        self.moved_down += len(data)
        try:
            await self._client.write(data)
        except OSError as error:
            raise _ClientLost from error
        self._touched = self._loop.time()

    async def _send(self, opened: Opened, data: bytes) -> bool:
        """Whether it could be sent. If not, there may still be an answer that says why."""
        self.moved_up += len(data)
        try:
            await opened.write(data)
        except OSError:
            return False
        return True

    async def _heard(self, opened: Opened) -> bytes | None:
        """None: it was reset. The check does not cancel the read: what arrives at that very moment would be lost."""
        await self._down.over()
        ending: list[_ClientLost | _GivenUp] = []
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            try:
                self._look()
            except (_ClientLost, _GivenUp) as end:
                ending.append(end)
                limit.reschedule(self._loop.time())
            else:
                timer = self._loop.call_later(self._shared.look_s, look)

        timer = self._loop.call_later(self._shared.look_s, look)
        try:
            async with asyncio.timeout(None) as limit:
                data = await opened.read()
        except OSError:
            if not limit.expired():  # a socket's own TimeoutError, too
                return None
            raise ending[0] from None
        finally:
            timer.cancel()
        self._touched = self._loop.time()
        return data

    def _look(self) -> None:
        """Nothing has come for a while. Raises what ends the exchange."""
        sight = self._client.sight()
        if sight is Sight.GONE:
            raise _ClientLost
        within_s = HALF_OPEN_S if sight is Sight.HALF_CLOSED else IDLE_S
        if self._loop.time() - self._touched >= within_s:
            raise _GivenUp(Failed(f"nothing came for {within_s / 60:.0f} minutes"))


def _bare(opened: Opened) -> socket.socket | None:
    """Its socket, if the bytes of the answer are on it as they are, and none has been received."""
    over, received = opened.taken()
    return over if isinstance(over, socket.socket) and not received else None


def _form(name: bytes, opened: Opened) -> Form:
    proxy = opened.way.proxy
    if not opened.is_to_proxy or proxy is None:
        return Form(name)
    return Form(name, is_to_proxy=True, authorization=authorization(known(proxy)))


def _length(request: Request) -> int | None:
    if request.is_chunked:
        return None
    return next((int(value) for name, value in request.headers if name.lower() == b"content-length"), None)


def _is_repeatable(request: Request) -> bool:
    """On a connection that was opened for another one. What may switch is opened in its own way."""
    return request.method in _REPEATABLE and not request.has_body and not request.upgrade


def _is_end(event: Event) -> bool:
    """True. What else comes in the place of a piece ends the exchange."""
    if isinstance(event, RequestEnd):
        return True
    raise _ClientLost(event if isinstance(event, Refusal) else None)

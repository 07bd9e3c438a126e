"""A byte stream to host:port through an upstream, or directly, with TLS to its end or without.

Nothing of registries and verdicts is known here beyond the words for what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import msgspec

from agent.probe.dial import HERE, NO_ROUTE, Ground, dial, in_bytes
from agent.probe.exchange import Dialogue, DialogueFailed, authority
from agent.probe.guard import Guard
from agent.probe.on_their_way import UNNOTED, Sending
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.through_proxy import Handshake, handshake
from agent.values.secret import escaped
from agent.values.settings import ProxyUrl, Scheme
from agent.values.verdict import Outcome, Timings

_HIGH_WATER: Final = 64 * 1024  # received and not yet read
_READ: Final = 64 * 1024  # from the socket at once
_DECRYPTED: Final = 32 * 1024  # at once: two records
_RECORD: Final = 5  # bytes before each record

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # struct linger: close with a reset

T = TypeVar("T")
Turn = Callable[[], Awaitable[None]]  # returns when it is one's turn


class StreamFailed(Exception):
    """What went wrong, at which step, in one line that may be shown."""

    def __init__(self, outcome: Outcome, evidence: str, step: Step | None, timings: Timings) -> None:
        super().__init__(outcome, evidence, step)
        self.outcome = outcome
        self.evidence = evidence
        self.step = step
        self.timings = timings


class Via(msgspec.Struct, frozen=True):
    """What a stream goes through: this proxy, or none."""

    proxy: ProxyUrl | None = None
    proxy_tls: ssl.SSLContext | None = None  # an https proxy's certificate is checked against it
    ground: Ground = HERE
    guard: Guard | None = None  # whose the proxy must be
    sending: Sending = UNNOTED  # of the password, if there is one
    turn: Turn | None = None  # before TLS with the proxy goes on, which takes up to 3 ms: hundreds may do so at once


async def open_stream(
    host: str, port: int, via: Via, *, end_tls: ssl.SSLContext | None = None, watch: Stopwatch | None = None
) -> Stream:
    """Open a stream to host:port; with `end_tls`, by TLS. Raises StreamFailed.

    The caller sets a limit, with `asyncio.timeout`.
    """
    watch = watch or Stopwatch()
    proxy = via.proxy
    stream = await (open_proxy(via, watch=watch) if proxy else _connect(host, port, via, watch))
    with failures_of(watch):
        try:
            if proxy is not None:
                watch.enter(Step.PROXY, f"asking the proxy {authority(proxy.host, proxy.port)} for {host}")
                async with via.sending.turn() if proxy.credentials is not None else contextlib.nullcontext():
                    await stream.shake(handshake(proxy, host, port))
                    if proxy.credentials is not None:
                        via.sending.note_taken()
            if end_tls is not None:
                watch.enter(Step.TLS, f"TLS with {host}")
                await stream.secure_end(end_tls, host)
        except BaseException:  # also when cancelled: close the socket
            await stream.aclose()
            raise
    return stream


async def open_proxy(via: Via, *, watch: Stopwatch | None = None) -> Stream:
    """Open a stream to the proxy itself, to ask it for a whole URL."""
    watch = watch or Stopwatch()
    proxy = via.proxy
    if proxy is None:
        raise TypeError("directly there is no proxy to open")
    stream = await _connect(proxy.host, proxy.port, via, watch)
    if proxy.scheme is not Scheme.HTTPS:
        return stream
    with failures_of(watch):
        try:
            watch.enter(Step.PROXY, f"TLS with the proxy {authority(proxy.host, proxy.port)}")
            await stream.secure_proxy(_given(via.proxy_tls), proxy.host, via.turn)
        except BaseException:
            await stream.aclose()
            raise
    return stream


def _given(context: ssl.SSLContext | None) -> ssl.SSLContext:
    if context is None:
        raise TypeError("an https proxy needs a context for its certificate")
    return context


async def _connect(host: str, port: int, via: Via, watch: Stopwatch) -> Stream:
    with failures_of(watch):
        connected = await dial(host, port, via.ground, watch, guard=via.guard if via.proxy else None)
        pipe = _Pipe()
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: pipe, sock=connected)
        return Stream(transport, pipe)


class Stream:
    """Bytes to and from the end. Use `async with`, or call `aclose`."""

    def __init__(self, transport: asyncio.Transport, pipe: _Pipe) -> None:
        self._socket = transport
        self._pipe = pipe
        self._top: _Pipe | _Tls = pipe

    async def read(self) -> bytes:
        """At least one byte; b"" if the other end has closed."""
        return await self._top.take()

    async def write(self, data: bytes) -> None:
        """Returns when there is room in the buffer again."""
        await self._top.put(data)

    async def converse(self, dialogue: Dialogue[T]) -> T:
        """Send and receive for the dialogue until it has its result."""
        return await conversed(dialogue, self.read, self.write)

    async def shake(self, dialogue: Handshake) -> None:
        """Run the handshake with the proxy. What it sent after its answer is read next."""
        self._top.give_back(await self.converse(dialogue))

    async def secure_proxy(self, context: ssl.SSLContext, host: str, turn: Turn | None = None) -> None:
        """Start TLS to the proxy."""
        if self._pipe.received:  # else plain text would be taken for the proxy's answer
            raise DialogueFailed(Outcome.ERROR, "it spoke before TLS had begun")
        await self.secure_end(context, host, turn)

    async def secure_end(self, context: ssl.SSLContext, host: str, turn: Turn | None = None) -> None:
        """Start TLS to the end of what is open by now. `turn`: before each step that something has come for."""
        with _nameable():
            tls = _Tls(self._top, context, host)
        await tls.shake(turn)
        self._top = tls

    @property
    def certificate(self) -> bytes | None:
        """The end's certificate, or the proxy's if there is no TLS to the end; DER."""
        return self._top.session.getpeercert(binary_form=True) if isinstance(self._top, _Tls) else None

    @property
    def connected(self) -> socket.socket:
        """To look at: its addresses, and what the kernel knows of it."""
        found: socket.socket = self._socket.get_extra_info("socket")
        return found

    def reset(self) -> None:
        """Close at once, and so that the other end takes what it has for what it is: broken off."""
        with contextlib.suppress(OSError):
            self.connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._socket.abort()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, and the other end has not closed."""
        return self._top.is_quiet

    @property
    def held(self) -> int:
        """Bytes in this process: received and not read, or not sent yet."""
        return self._top.held

    async def aclose(self) -> None:
        """Close at once: a TLS good-bye to a black hole would hang."""
        self._top.put_last()
        self._socket.abort()
        await asyncio.sleep(0)  # the loop closes the socket in its next round

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def conversed(
    dialogue: Dialogue[T], read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
) -> T:
    """What comes of a dialogue over whatever is read and written so."""
    try:
        to_send = next(dialogue)
        while True:
            if to_send:
                await write(to_send)
            to_send = dialogue.send(await read())
    except StopIteration as end:
        result: T = end.value
        return result


@contextlib.contextmanager
def _nameable() -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise DialogueFailed(Outcome.ERROR, "not a name that a certificate can have") from error


class _Records:
    """Where the records of TLS end: each has its length in the last two of its first five bytes (RFC 8446, 5.1)."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the last one that have not come yet
        self._begun = b""  # of its first five

    def note(self, data: bytes) -> None:
        """What has come."""
        data, at = self._begun + data, self._left
        while at + _RECORD <= len(data):
            at += _RECORD + int.from_bytes(data[at + 3 : at + _RECORD], "big")
        self._left = max(0, at - len(data))
        self._begun = data[at:]

    @property
    def is_within(self) -> bool:
        """Whether the last one has begun, and not ended."""
        return bool(self._left or self._begun)


class _Tls:
    """TLS over a pipe, or over TLS.

    Not asyncio's `start_tls`: for TLS within TLS, to an https proxy, it loses the error of a rejected certificate
    (a TypeError, Python 3.11.7; noticed by: tests/loopback/test_probe.py, test_an_interceptor_is_named), and for each
    connection that nobody reads it keeps up to 2 MB (FACTS 253).
    """

    def __init__(self, below: _Pipe | _Tls, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._records = _Records()
        self._early = b""  # decrypted, and not read
        self._has_ended = False  # by a TLS good-bye
        self._broken: ssl.SSLError | None = None  # found behind data, and said with the next read
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=in_bytes(host))

    async def shake(self, turn: Turn | None = None) -> None:
        """What we say last of it goes out with what is written next.

        Alone, it would keep that waiting: a proxy that gathers small pieces (Nagle) holds the next one back until the
        other end has confirmed the first, for which it may take 40 ms.
        """
        await self._drive(self.session.do_handshake, turn)

    async def take(self, most: int = _DECRYPTED) -> bytes:
        if self._early:
            taken, self._early = self._early[:most], self._early[most:]
            return taken
        try:
            if taken := await self._drive(lambda: self._decrypted(most)):
                return taken
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # as an end is told by Python and OpenSSL, if it is not b""
            pass
        if self._records.is_within:  # then the other end has not closed: it was killed, or somebody between was
            raise ConnectionResetError(errno.ECONNRESET, "ended in the middle of a TLS record")
        return b""  # many servers close without a TLS good-bye, as HTTP allows

    def _decrypted(self, most: int) -> bytes:
        """Of all records that are there: one by one, each would cost the reader a turn."""
        found = self._record(most)
        try:
            while found and len(found) < most and (more := self._record(most - len(found))):
                found += more
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:  # OpenSSL says it once, and then that it has ended
            self._broken = error
        return found

    def _record(self, most: int) -> bytes:
        if self._broken is not None:
            raise self._broken
        found = self.session.read(most)
        self._has_ended = not found
        return found

    def give_back(self, data: bytes) -> None:
        self._early = data + self._early

    async def put(self, data: bytes) -> None:
        self._encrypt(data)
        await self._say()

    def _encrypt(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # a record at a time
            left = left[self.session.write(left) :]

    def put_last(self, data: bytes = b"") -> None:
        """What nothing was written after: else the handshake would look broken off to the other end."""
        if data:
            self._encrypt(data)
        self._below.put_last(self._outgoing.read())

    def take_now(self, most: int = _DECRYPTED) -> bytes:
        """Of what has come already; b"" also at the end. ssl.SSLError if it is no TLS."""
        taken, self._early = self._early[:most], self._early[most:]
        while not taken and (received := self._below.take_now()):
            self._receive(received)
            with contextlib.suppress(ssl.SSLWantReadError):  # of TLS alone, such as the tickets for a next time
                taken = self._decrypted(most)
        return taken

    @property
    def is_quiet(self) -> bool:
        try:
            self.give_back(self.take_now())
        except ssl.SSLError:
            return False
        return not (self._early or self._has_ended or self._broken) and self._below.is_quiet

    @property
    def held(self) -> int:
        return self._incoming.pending + self._outgoing.pending + len(self._early) + self._below.held

    async def _drive(self, step: Callable[[], T], turn: Turn | None = None) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._say()
            except ssl.SSLError:
                await self._say()  # such as an alert after a bad certificate
                raise
            received = await self._below.take(_DECRYPTED)
            if turn is not None:
                await turn()
            if received:
                self._receive(received)
            else:
                self._incoming.write_eof()

    def _receive(self, data: bytes) -> None:
        self._records.note(data)
        self._incoming.write(data)

    async def _say(self) -> None:
        if self._outgoing.pending:
            await self._below.put(self._outgoing.read())


class _Pipe(asyncio.BufferedProtocol):
    """What the transport has received, until it is read."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self._filled = bytearray()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._news = asyncio.Event()
        self.has_ended = False
        self._error: Exception | None = None

    async def take(self, most: int = _READ) -> bytes:
        while not self.received and not self.has_ended:
            self._news.clear()
            await self._news.wait()
        if self._error is not None and not self.received:
            raise self._error
        return self.take_now(most)

    def take_now(self, most: int = _READ) -> bytes:
        with memoryview(self.received) as received:
            taken = bytes(received[:most])
        del self.received[:most]
        if not self.has_ended and len(self.received) <= _HIGH_WATER:
            self.transport.resume_reading()
        return taken

    def give_back(self, data: bytes) -> None:
        self.received[:0] = data

    async def put(self, data: bytes) -> None:
        self.transport.write(data)
        await self._has_room.wait()

    def put_last(self, data: bytes = b"") -> None:
        if data:
            self.transport.write(data)

    @property
    def is_quiet(self) -> bool:
        return not self.received and not self.has_ended

    @property
    def held(self) -> int:
        return len(self.received) + self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection makes
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's
        self._filled = bytearray(_READ)
        return self._filled

    def buffer_updated(self, nbytes: int) -> None:
        with memoryview(self._filled) as filled:
            self.received += filled[:nbytes]
        self._filled = bytearray()
        if len(self.received) > _HIGH_WATER:
            self.transport.pause_reading()
        self._news.set()

    def eof_received(self) -> None:
        self.has_ended = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.has_ended:  # it was closed here, and that is no end: half a file would be taken for all of it
            self._error = ConnectionAbortedError(errno.ECONNABORTED, "closed here")
        self._error = exc or self._error
        self.has_ended = True
        self._news.set()
        self._has_room.set()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()


@contextlib.contextmanager
def failures_of(watch: Stopwatch) -> Iterator[None]:
    """Turn every error of a stream into a StreamFailed that says what was being done."""
    try:
        yield
    except DialogueFailed as error:
        raise _failed(watch, error.outcome, error.evidence) from error
    except ssl.SSLCertVerificationError as error:
        raise _failed(watch, Outcome.TLS, escaped(error.verify_message)) from error
    except ssl.SSLError as error:
        raise _failed(watch, Outcome.ERROR, f"failed ({error.reason or 'no reason given'})") from error
    except (OSError, UnicodeError) as error:
        raise _failed(watch, *_went_wrong(error)) from error


def _failed(watch: Stopwatch, outcome: Outcome, what: str) -> StreamFailed:
    return StreamFailed(outcome, f"{watch.doing}: {what}", watch.step, watch.timings())


def _went_wrong(error: OSError | UnicodeError) -> tuple[Outcome, str]:
    if isinstance(error, UnicodeError):
        return Outcome.DNS, "no name that DNS could have"
    if isinstance(error, socket.gaierror):
        return Outcome.DNS, error.strerror or "not found"
    if isinstance(error, ConnectionRefusedError):
        return Outcome.REFUSED, "nothing listens there"
    if error.errno in NO_ROUTE:
        return Outcome.NO_ROUTE, "no route"
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT, "no answer from that address"
    if isinstance(error, ConnectionError):
        return Outcome.ERROR, "connection lost"
    return Outcome.ERROR, error.strerror or "failed"

"""Bytes between two sockets, in both directions, without a copy: splice(2) from a socket into a pipe, and out of it.

Half the CPU of the best that can be done with a buffer (FACTS 71). A direction takes a pipe from the pool only while it
has bytes on their way, so an idle tunnel holds nothing but its two sockets. What happens when:

- EAGAIN from the source: there is nothing to read, because the pipe is empty whenever we ask. The event loop says when
  there is more.
- EAGAIN from a source that the event loop has just reported as readable: an urgent byte (MSG_OOB). splice never gets
  past it, but a read does, and drops it. Otherwise the socket would be reported as readable again and again, forever.
- EAGAIN to the sink: its reader is slow. The direction reads no more until the sink has taken what is in the pipe, so
  the slow reader holds back the sender, and no memory grows.
- EOF: what is in the pipe is written first, then the sink's sending half is closed. The other direction goes on, until
  it ends as well, or nothing more comes by it for five minutes.
- Much is ready in many tunnels at once: each has its turn (`rounds.py`), and is not listened to until then.
- A reset, or an error of either socket: both are reset, at once. Otherwise a client that reads up to the end would take
  half a file for all of it.

TLS to an https proxy cannot be spliced: there, bytes are read and written (`TlsTunnel`), and the client's end of
sending cannot be passed on.
Not known here: whom the sockets belong to, and how long they may be silent (`draining.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from agent.probe.reading import read
from agent.probe.stream import Stream
from agent.relay.rounds import Rounds

CHUNK: Final = 1024 * 1024  # bytes at once; a quarter of it costs a third more CPU with one connection, twice with 20
_BURST: Final = 4  # chunks in a row, before others have their turn
_MORE: Final = 64 * 1024  # bytes: after fewer there is hardly more already, and to ask costs as much as to be told
_KEPT_PIPES: Final = 32  # empty ones; each is two descriptors
_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # struct linger: close with a reset
_READ: Final = 64 * 1024
# A client that has closed its sending half and hears nothing for so long counts as gone, if the other end cannot be
# told: otherwise each would keep a seat until half-closed connections are given up.
PARTED_S: Final = 30.0
_LOOKED_AFTER: Final = 8 * 1024 * 1024  # bytes
_PAGE: Final = 4096  # there is room for so much in any empty pipe


class Ended(enum.Enum):
    """How a tunnel ended."""

    CLOSED = "closed"  # by both ends, or half of it was
    BROKEN = "broken off"  # reset by either end, or an error on its way
    IDLE = "idle"  # for too long
    SILENT = "no answer"  # what we sent was not confirmed
    TOO_HEAVY = "too much held"  # by all, and by this one's source most
    ADDRESS_GONE = "address gone"
    NOT_ALLOWED = "not allowed any more"
    STOPPED = "relay stopped"


class Pipe:
    """Two descriptors."""

    __slots__ = ("is_small", "reader", "writer")

    def __init__(self, size: int = CHUNK) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A user may have 64 MB of large pipes (pipe(7), pipe-user-pages-soft). Beyond that they are small, and work.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, size)
        self.is_small = fcntl.fcntl(self.writer, fcntl.F_GETPIPE_SZ) < CHUNK

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """Empty pipes, for directions that have bytes on their way."""

    def __init__(
        self, size: int = CHUNK, look: Callable[[], None] = lambda: None, rounds: Rounds | None = None
    ) -> None:
        """`look`: called whenever much has been read, before more is; it may end tunnels."""
        self.rounds = rounds or Rounds()
        self._size = size
        self._look = look
        self.read = 0  # bytes, since then
        self._free: list[Pipe] = []

    def take(self) -> Pipe:
        return self._free.pop() if self._free else Pipe(self._size)

    def give_back(self, pipe: Pipe) -> None:
        """An empty one. A small one is not kept: there may be room for a large one by now."""
        if len(self._free) < _KEPT_PIPES and not pipe.is_small:
            self._free.append(pipe)
        else:
            pipe.close()

    def look(self) -> None:
        if self.read >= _LOOKED_AFTER:
            self.read = 0
            self._look()

    def close(self) -> None:
        while self._free:
            self._free.pop().close()


def read_on(source: int, pipe: Pipe, most: int = _PAGE) -> int:
    """From a source that splice is stuck at into an empty pipe; how many bytes, 0 at the end. OSError as of splice."""
    data = os.read(source, min(most, _PAGE))
    return os.write(pipe.writer, data) if data else 0


class Carrying(Protocol):
    """A tunnel, whatever its bytes go through."""

    client: socket.socket
    touched: float  # the loop's time when bytes came last

    @property
    def end(self) -> socket.socket:
        """To look at."""

    @property
    def is_half_closed(self) -> bool: ...

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes from the client, and to it."""

    @property
    def held(self) -> int:
        """Bytes that were read and not passed on yet."""

    def run(self) -> Awaitable[Ended]:
        """Until it has ended."""

    def finish(self, how: Ended) -> None:
        """End it now, by somebody else's decision."""


class Tunnel:
    """Two connected sockets, non-blocking, that are each other's other end. It owns them from now on."""

    __slots__ = ("_whose_is", "client", "down", "end", "ended", "is_over", "loop", "pipes", "touched", "up")

    def __init__(self, client: socket.socket, end: socket.socket, pipes: Pipes) -> None:
        self.client, self.end = client, end
        self.loop = asyncio.get_running_loop()
        self.pipes = pipes
        self.touched = self.loop.time()
        self.ended: asyncio.Future[Ended] = self.loop.create_future()
        self.is_over = False  # `ended` is also done if the task that awaits it is cancelled
        self._whose_is: str | None = None  # known once it was asked for
        self.up = Direction(self, client.fileno(), end)
        self.down = Direction(self, end.fileno(), client)

    def run(self) -> Awaitable[Ended]:
        self.start()
        return self.ended

    def start(self) -> None:
        self.up.listen()
        self.down.listen()

    @property
    def moved(self) -> tuple[int, int]:
        return self.up.moved, self.down.moved

    @property
    def held(self) -> int:
        return self.up.held + self.down.held

    @property
    def is_half_closed(self) -> bool:
        return self.up.has_ended or self.down.has_ended

    def whose(self) -> str:
        if self._whose_is is None:
            self._whose_is = self.pipes.rounds.whose_is(self.client)
        return self._whose_is

    def note_end(self) -> None:
        """One direction is through."""
        if self.up.has_ended and self.down.has_ended:
            self.finish(Ended.CLOSED)

    def finish(self, how: Ended) -> None:
        if self.is_over:
            return
        self.is_over = True
        self.up.stop()
        self.down.stop()
        for one in (self.client, self.end):
            if how is not Ended.CLOSED:
                reset(one)
            one.close()
        if not self.ended.done():
            self.ended.set_result(how)


def reset(connected: socket.socket) -> None:
    """What is closed next is closed with a reset."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


class Direction:
    """From one socket to the other."""

    __slots__ = (
        "_is_waiting", "_pipe", "_sink", "_source", "_to", "_tunnel", "has_ended", "held", "is_held_back", "moved",
    )  # fmt: skip

    def __init__(self, tunnel: Tunnel, source: int, to: socket.socket) -> None:
        self._tunnel = tunnel
        self._source = source
        self._to = to
        self._sink = to.fileno()
        self._pipe: Pipe | None = None
        self.held = 0  # bytes in it
        self.is_held_back = False  # by the sink, whose reader is slow
        self._is_waiting = False  # for its turn
        self.has_ended = False
        self.moved = 0

    def listen(self) -> None:
        """For what it can go on with."""
        loop = self._tunnel.loop
        if self.is_held_back:
            loop.add_writer(self._sink, self._ready)
        else:
            loop.add_reader(self._source, self._ready)

    def _ready(self) -> None:
        self._tunnel.pipes.rounds.ready(self)

    # As `Ready` of the rounds.

    def whose(self) -> str:
        return self._tunnel.whose()

    def pause(self) -> None:
        self._is_waiting = True
        self._listen_no_more()

    def go(self) -> None:
        if self.has_ended:
            return
        if self._is_waiting:
            self._is_waiting = False
            self.listen()
        if self.is_held_back:
            self._writable()
        else:
            self._readable()

    def _listen_no_more(self) -> None:
        loop = self._tunnel.loop
        if self.is_held_back:
            loop.remove_writer(self._sink)
        else:
            loop.remove_reader(self._source)

    def stop(self) -> None:
        if not self.has_ended:
            self._listen_no_more()
        if self._pipe is not None:
            self._pipe.close()  # with bytes in it
            self._pipe = None
            self.held = 0
        self.has_ended = True

    def _readable(self) -> None:
        tunnel = self._tunnel
        tunnel.pipes.look()
        if self.has_ended:
            return
        try:
            pipe = self._pipe = tunnel.pipes.take()
            for turn in range(_BURST):
                read = self.held = self._read(pipe, is_first=not turn)
                if not read:
                    self._end()
                    return
                tunnel.pipes.read += read
                if not self._flush():
                    self._listen_no_more()
                    self.is_held_back = True
                    self.listen()
                    return
                if read < _MORE:
                    break
        except BlockingIOError:
            pass
        except OSError:
            tunnel.finish(Ended.BROKEN)
            return
        self._release()

    def _read(self, pipe: Pipe, *, is_first: bool) -> int:
        try:
            return os.splice(self._source, pipe.writer, CHUNK, flags=_FLAGS)
        except BlockingIOError:
            if not is_first:
                raise
        return read_on(self._source, pipe)

    def _writable(self) -> None:
        tunnel = self._tunnel
        try:
            if not self._flush():
                return
        except OSError:
            tunnel.finish(Ended.BROKEN)
            return
        self._listen_no_more()
        self.is_held_back = False
        self._release()
        self.listen()

    def _flush(self) -> bool:
        """Whether the pipe is empty."""
        pipe, tunnel = self._pipe, self._tunnel
        assert pipe is not None  # noqa: S101 - whoever calls has filled it
        try:
            while self.held:
                written = os.splice(pipe.reader, self._sink, self.held, flags=_FLAGS)
                self.held -= written
                self.moved += written
                tunnel.touched = tunnel.loop.time()
        except BlockingIOError:
            return False
        return True

    def _release(self) -> None:
        if self._pipe is not None:
            self._tunnel.pipes.give_back(self._pipe)
            self._pipe = None

    def _end(self) -> None:
        self._release()
        self._listen_no_more()
        self.has_ended = True
        with contextlib.suppress(OSError):  # it is gone: the other direction will learn of it
            self._to.shutdown(socket.SHUT_WR)
        self._tunnel.note_end()


class TlsTunnel:
    """A client and a stream that cannot be spliced. It owns both from now on."""

    def __init__(
        self, client: socket.socket, stream: Stream, *, rounds: Rounds | None = None, parted_s: float = PARTED_S
    ) -> None:
        self.client = client
        self._rounds = rounds or Rounds()
        self._parted_s = parted_s
        self._parting: asyncio.TimerHandle | None = None
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Ended] = self._loop.create_future()
        self._up = self._down = 0
        self._taken_up = self._taken_down = 0  # bytes that wait for the other end
        self.touched = self._loop.time()
        self.is_half_closed = False

    @property
    def end(self) -> socket.socket:
        return self._stream.connected

    @property
    def moved(self) -> tuple[int, int]:
        return self._up, self._down

    @property
    def held(self) -> int:
        return self._taken_up + self._taken_down + self._stream.held

    async def run(self) -> Ended:
        carrying = asyncio.create_task(self._carry())
        try:
            how = await self._ended
        finally:
            carrying.cancel()
            if self._parting is not None:
                self._parting.cancel()
            await asyncio.gather(carrying, return_exceptions=True)
            await self._stream.aclose()
            self.client.close()
        return how

    def finish(self, how: Ended) -> None:
        if not self._ended.done():
            if how is not Ended.CLOSED:
                reset(self.client)
                self._stream.reset()
            self._ended.set_result(how)

    async def _carry(self) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry_up())
                both.create_task(self._carry_down())
        except* OSError:
            self.finish(Ended.BROKEN)
        else:
            self.finish(Ended.CLOSED)

    async def _carry_up(self) -> None:
        while data := await read(self.client, _READ):
            self.touched = self._loop.time()
            if not self.is_half_closed:  # else the stream is closed, and this is for nobody
                self._taken_up = len(data)
                await self._rounds.turn(self.client)  # to encrypt takes as long as to move far more
                await self._stream.write(data)
                self._taken_up = 0
            self._up += len(data)
        self.is_half_closed = True
        self.touched = self._loop.time()
        self._look_whether_it_waits()

    def _look_whether_it_waits(self) -> None:
        """The client has closed its sending half, or all. The other end cannot be told here, and goes on waiting."""
        left_s = self.touched + self._parted_s - self._loop.time()
        if left_s <= 0 and not self._taken_down:
            self.finish(Ended.IDLE)
        else:
            self._parting = self._loop.call_later(max(left_s, self._parted_s / 4), self._look_whether_it_waits)

    async def _carry_down(self) -> None:
        while data := await self._stream.read():
            self.touched = self._loop.time()
            self._taken_down = len(data)
            await self._rounds.turn(self.client)
            await self._loop.sock_sendall(self.client, data)
            self._taken_down = 0
            self.touched = self._loop.time()
            self._down += len(data)
        self.is_half_closed = True
        self.client.shutdown(socket.SHUT_WR)

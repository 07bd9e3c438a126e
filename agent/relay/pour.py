"""A known number of bytes from one socket into another without a copy: the rest of a large body.

As in `pump.py`, but one way, and both sockets are the caller's afterwards: what follows the body is read as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

from agent.relay.pump import CHUNK, Pipe, Pipes, read_on

_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_BURST: Final = 4  # chunks in a row, before others have their turn

Look = Callable[[], None]  # raises what ends it
Moved = Callable[[int], None]  # so many bytes more


class SourceLost(Exception):
    """It ended or broke off before all had come."""


class SinkLost(Exception):
    """It takes no more."""


class Pouring:
    """One body."""

    def __init__(self, source: socket.socket, sink: socket.socket, count: int, *, pipes: Pipes, moved: Moved) -> None:
        self._source = source.fileno()
        self._client = sink
        self._sink = sink.fileno()
        self._pipes = pipes
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self.left = count

    async def all(self, look_s: float, look: Look) -> None:
        """Raises SourceLost or SinkLost; `look` is called whenever nothing has moved for so long."""
        pipe = self._pipes.take()
        is_empty = False
        try:
            while self.left:
                await self._pipes.rounds.turn(self._client)
                await self._some(pipe, look_s, look)
                await asyncio.sleep(0)
            is_empty = True
        finally:
            if is_empty:
                self._pipes.give_back(pipe)
            else:
                pipe.close()

    async def _some(self, pipe: Pipe, look_s: float, look: Look) -> None:
        for _ in range(_BURST):
            if not self.left:
                return
            try:
                count = await self._read(pipe, look_s, look)
            except OSError as error:
                raise SourceLost from error
            if not count:
                raise SourceLost
            await self._flush(pipe, count, look_s, look)

    async def _read(self, pipe: Pipe, look_s: float, look: Look) -> int:
        was_readable = False
        while True:
            with contextlib.suppress(BlockingIOError):
                return os.splice(self._source, pipe.writer, min(self.left, CHUNK), flags=_FLAGS)
            if was_readable:
                with contextlib.suppress(BlockingIOError):
                    return read_on(self._source, pipe, self.left)
            while not await self._readable(look_s):
                look()
            was_readable = True

    async def _flush(self, pipe: Pipe, count: int, look_s: float, look: Look) -> None:
        while count:
            try:
                written = os.splice(pipe.reader, self._sink, count, flags=_FLAGS)
            except BlockingIOError:
                while not await self._writable(look_s):
                    look()
                continue
            except OSError as error:
                raise SinkLost from error
            count -= written
            self.left -= written
            self._moved(written)

    async def _readable(self, within_s: float) -> bool:
        ready = self._loop.create_future()
        self._loop.add_reader(self._source, _done, ready)
        try:
            return await self._either(ready, within_s)
        finally:
            self._loop.remove_reader(self._source)

    async def _writable(self, within_s: float) -> bool:
        ready = self._loop.create_future()
        self._loop.add_writer(self._sink, _done, ready)
        try:
            return await self._either(ready, within_s)
        finally:
            self._loop.remove_writer(self._sink)

    async def _either(self, ready: asyncio.Future[bool], within_s: float) -> bool:
        timer = self._loop.call_later(within_s, _too_late, ready)
        try:
            return await ready
        finally:
            timer.cancel()


def _done(ready: asyncio.Future[bool]) -> None:
    if not ready.done():
        ready.set_result(True)


def _too_late(ready: asyncio.Future[bool]) -> None:
    if not ready.done():
        ready.set_result(False)

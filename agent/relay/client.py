"""The client's socket: read, written, and left so that what was said last arrives."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
from typing import Final

_READ: Final = 64 * 1024
_PARTING_S: Final = 2.0
_PARTING: Final = 1024 * 1024  # bytes that are still read then


class Sight(enum.Enum):
    """What can be seen of a client that is not read from."""

    THERE = "it waits, or has sent more"
    HALF_CLOSED = "it sends no more, and may still read"
    GONE = "it has reset the connection"


class Client:
    """Of one connection. The socket is non-blocking."""

    __slots__ = ("_loop", "connected")

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """At least one byte; b"" at the end. OSError if it broke off."""
        return await self._loop.sock_recv(self.connected, _READ)

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.connected, data)

    def sight(self) -> Sight:
        try:
            seen = self.connected.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return Sight.THERE
        except OSError:
            return Sight.GONE
        return Sight.THERE if seen else Sight.HALF_CLOSED

    async def part(self) -> None:
        """Close, after the client has had time to read what was written last.

        A socket that is closed with unread bytes in it is reset, and then the answer may be lost: so these are read
        first, for a while.
        """
        with contextlib.suppress(OSError, TimeoutError):
            self.connected.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_PARTING_S):
                left = _PARTING
                while left > 0 and (read := await self.read()):
                    left -= len(read)
        self.connected.close()

"""The client's socket: read, written, and left so that what was said last arrives."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import socket
import struct
import termios
from typing import Final

from agent.probe.reading import read

_READ: Final = 64 * 1024
_PARTING_S: Final = 2.0
_PARTING: Final = 1024 * 1024  # bytes that are still read then


class Sight(enum.Enum):
    """What can be seen of a client without reading from it."""

    THERE = "it waits, or has sent more"
    HALF_CLOSED = "it sends no more, and may still read"
    GONE = "it has reset the connection"


_COUNT: Final = struct.Struct("=i")
_SIGHTS: Final = {7: Sight.GONE, 8: Sight.HALF_CLOSED}  # by tcpi_state of linux/tcp_states.h: CLOSE, CLOSE_WAIT


class Client:
    """Of one connection. The socket is non-blocking."""

    __slots__ = ("_loop", "connected")

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self._loop = asyncio.get_running_loop()

    async def read(self, most: int = _READ) -> bytes:
        """At least one byte; b"" at the end. OSError if it broke off."""
        return await read(self.connected, most)

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.connected, data)

    def sight(self) -> Sight:
        """Also while there is something to be read: then a read would not tell."""
        try:
            state = self.connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except OSError:
            return Sight.GONE
        return _SIGHTS.get(state, Sight.THERE)

    @property
    def unread(self) -> int:
        """How many bytes of it are in the kernel; 0 also if it is gone."""
        with contextlib.suppress(OSError):
            return int(_COUNT.unpack(fcntl.ioctl(self.connected, termios.FIONREAD, bytes(_COUNT.size)))[0])
        return 0

    @property
    def has_asked(self) -> bool:
        """Whether the end of a head is among what waits to be read, and still does so afterwards."""
        with contextlib.suppress(OSError):
            waits = self.connected.recv(_READ, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return b"\n\r\n" in waits or b"\n\n" in waits
        return False

    def say_at_once(self, data: bytes) -> None:
        """And close: whatever was sent before, and without waiting for anything."""
        with contextlib.suppress(OSError):
            self.connected.send(data, socket.MSG_DONTWAIT)
            left = _PARTING  # a socket that is closed with unread bytes in it is reset
            while left > 0 and (came := self.connected.recv(_READ, socket.MSG_DONTWAIT)):
                left -= len(came)
        self.connected.close()

    async def part(self) -> None:
        """Close, after the client has had time to read what was written last.

        A socket that is closed with unread bytes in it is reset, and then the answer may be lost: so these are read
        first, for a while.
        """
        with contextlib.suppress(OSError, TimeoutError):
            self.connected.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_PARTING_S):
                left = _PARTING
                while left > 0 and (came := await self.read()):
                    left -= len(came)
        self.connected.close()

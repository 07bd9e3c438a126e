"""How much memory a connection holds, and what is done when all together hold much.

Most of it is the kernel's. A tunnel whose end nobody reads holds what the kernel has received and not sent: up to 10 MB
by default, and more with other settings. The limit on connections alone would allow far more than the unit's
`MemoryMax=`, in which this counts: the process would be killed, and Docker's transfers with it. The same limit for each
connection would make a fast one over a long distance slow. So all are weighed, with what the process itself holds:

    over MUCH      each socket gets its share as its buffers, so that new data do not come in faster than they are
                   read. If a megabyte is read at a time, the kernel would grow the window to ten at once; and a window
                   that was offered to a sender cannot be taken back (FACTS 239)
    over MOST      connections through which nothing moves are ended, until the others have room
    over TOO_MUCH  moving ones as well; a reader that takes a byte a second holds as much as one that takes none

First those of containers, and of these the ones of the container that holds most.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_MB: Final = 1024 * 1024


class Marks(NamedTuple):
    """Bytes of all connections; the unit has 1 GB."""

    much: int = 128 * _MB
    most: int = 384 * _MB
    too_much: int = 640 * _MB


MARKS: Final = Marks()
_LEFT: Final = 3 / 4  # of it, when some have ended
OPENING: Final = 32 * 1024  # bytes of a client whose way is not open yet; the kernel doubles it
UNREAD: Final = 4 * OPENING  # what such a one holds at most: one segment more may come than there is room for
SENDING: Final = 200_000  # bytes to a client, which is near: one that does not read holds less
_SHARED: Final = 128 * _MB  # by all, while they hold much
_LEAST: Final = 16 * 1024  # the kernel doubles it, for what the data are kept in
_LARGEST: Final = 1 * _MB  # most kernels give less, unless asked by root (net.core.rmem_max)

SO_BUF_LOCK: Final = 72  # asm-generic/socket.h, Linux 5.14: which of its buffers the kernel may not change
_SNDBUF_LOCK: Final = 1

# linux/sock_diag.h: numbers of 32 bits. Received and not read, being sent, kept for either, not yet looked at.
_SO_MEMINFO: Final = 55
# Without a sign in there; but what is kept is below zero for a moment while more is taken than was asked for.
_MEMINFO: Final = struct.Struct("=9i")
_RECEIVED, _KEPT, _QUEUED, _BACKLOG = 0, 4, 5, 7
_IN_USE: Final = re.compile(rb"^TCP:.* mem (\d+)$", re.MULTILINE)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Weight(NamedTuple):
    """Of one connection, with both its sockets."""

    held: int  # bytes
    source: str  # the client's address
    is_container: bool
    is_stuck: bool  # nothing has moved for a second
    whose: str = ""  # the source that it counts for, if that is not its address


def too_heavy(weights: Sequence[Weight], marks: Marks) -> list[int]:
    """The places of those that are to end, so that the others have room."""
    total = sum(one.held for one in weights)
    if total <= marks.most:
        return []
    by_source: dict[str, int] = {}
    for one in weights:
        by_source[_whose(one)] = by_source.get(_whose(one), 0) + one.held

    def rank(place: int) -> tuple[bool, int, int]:
        one = weights[place]
        return one.is_container, by_source[_whose(one)], one.held

    ranked = sorted(range(len(weights)), key=rank, reverse=True)
    ending = _until(marks.most, total, ranked, [one.held if one.is_stuck else 0 for one in weights])
    total -= sum(weights[place].held for place in ending)
    if total > marks.too_much:
        ending += _until(marks.too_much, total, ranked, [0 if one.is_stuck else one.held for one in weights])
    return ending


def _whose(one: Weight) -> str:
    return one.whose or one.source


def _until(mark: int, total: int, ranked: Sequence[int], held: Sequence[int]) -> list[int]:
    ending = []
    for place in ranked:
        if total <= mark * _LEFT:
            break
        if held[place]:
            total -= held[place]
            ending.append(place)
    return ending


def held_by(sockets: Iterable[socket.socket]) -> int:
    """Bytes; nothing by one that is closed."""
    held = 0
    for one in sockets:
        with contextlib.suppress(OSError):
            told = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            held += counted(told)
    return held


def counted(told: bytes) -> int:
    """Of what the kernel says of one socket."""
    if len(told) != _MEMINFO.size:
        return 0
    numbers = _MEMINFO.unpack(told)
    return sum(max(0, numbers[place]) for place in (_RECEIVED, _KEPT, _QUEUED, _BACKLOG))


def share(of: int) -> int:
    """What a buffer may have if there are so many connections, each with two that fill."""
    return max(_LEAST, min(_LARGEST, _SHARED // max(1, of) // 4))


def narrow(sockets: Iterable[socket.socket], size: int) -> None:
    """They receive and keep no more than that; what they hold already stays."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, min(size, SENDING))


def widen(client: socket.socket, end: socket.socket | None) -> None:
    """As before they were narrowed: how much they receive is the kernel's to find out."""
    with contextlib.suppress(OSError):  # closed, or an older kernel, where they stay narrow
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING)
        client.setsockopt(socket.SOL_SOCKET, SO_BUF_LOCK, _SNDBUF_LOCK)
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, SO_BUF_LOCK, 0)


class KernelsAccount:
    """What all TCP of this kernel holds: one look tells that nobody need be weighed."""

    def __init__(self, path: str = "/proc/self/net/sockstat") -> None:
        self._open: int | None = None
        with contextlib.suppress(OSError):  # then each is weighed
            self._open = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def may_exceed(self, most: int) -> bool:
        """True also if it cannot be told."""
        if self._open is None:
            return True
        try:
            found = _IN_USE.search(os.pread(self._open, 4096, 0))
        except OSError:
            return True
        return found is None or int(found[1]) * _PAGE > most

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None

"""How much memory of the kernel a connection holds, and what is done when all together hold much.

A tunnel whose end nobody reads holds what the kernel has received and not sent: up to 10 MB by its defaults, and more
by others. The number of connections bounds that to nothing that the unit's `MemoryMax=` has room for. It counts in
there, so the process would be killed, and all that Docker does with it. To bound each connection alike would make a
fast one over a long way slow. So all are weighed:

    over MUCH      a socket that has much to be read gets a smaller window. Not the window but its reader is what it
                   waits for, so nothing becomes slower by it
    over MOST      those end that nothing moves through, until the others have room
    over TOO_MUCH  whatever moves; a reader who takes a byte a second holds as much as one who takes none

First those of containers, and of these the ones of whoever holds most.
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

    much: int = 32 * _MB
    most: int = 256 * _MB
    too_much: int = 512 * _MB


MARKS: Final = Marks()
_LEFT: Final = 3 / 4  # of it, when some have ended
_UNREAD: Final = 1 * _MB  # is much for one
_WINDOW: Final = 512 * 1024

# linux/sock_diag.h: numbers of 32 bits. Received and not read, being sent, kept for either, not yet looked at.
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
_RECEIVED, _KEPT, _QUEUED, _BACKLOG = 0, 4, 5, 7
_IN_USE: Final = re.compile(rb"^TCP:.* mem (\d+)$", re.MULTILINE)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Weight(NamedTuple):
    """Of one connection, with both its sockets."""

    held: int  # bytes
    source: str  # the client's address
    is_container: bool
    is_stuck: bool  # nothing has moved for a second


def too_heavy(weights: Sequence[Weight], marks: Marks) -> list[int]:
    """The places of those that are to end, so that the others have room."""
    total = sum(one.held for one in weights)
    if total <= marks.most:
        return []
    by_source: dict[str, int] = {}
    for one in weights:
        by_source[one.source] = by_source.get(one.source, 0) + one.held

    def rank(place: int) -> tuple[bool, int, int]:
        one = weights[place]
        return one.is_container, by_source[one.source], one.held

    ranked = sorted(range(len(weights)), key=rank, reverse=True)
    ending = _until(marks.most, total, ranked, [one.held if one.is_stuck else 0 for one in weights])
    total -= sum(weights[place].held for place in ending)
    if total > marks.too_much:
        ending += _until(marks.too_much, total, ranked, [0 if one.is_stuck else one.held for one in weights])
    return ending


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
    """Bytes; nothing by one that is closed. One that has much to be read receives less from now on."""
    held = 0
    for one in sockets:
        with contextlib.suppress(OSError):
            told = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            if len(told) == _MEMINFO.size:
                numbers = _MEMINFO.unpack(told)
                held += numbers[_RECEIVED] + numbers[_KEPT] + numbers[_QUEUED] + numbers[_BACKLOG]
                if numbers[_RECEIVED] > _UNREAD:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, _WINDOW)
    return held


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

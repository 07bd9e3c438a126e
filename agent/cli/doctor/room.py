"""File systems that are full: the agent cannot write, and neither can Docker.

Pure. Not known here: how much is free (`look.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign

_LITTLE: Final = 1 << 20  # bytes: a few of the agent's files, and no layer of any image
_FEW: Final = 16  # inodes: each file that is replaced takes one for a moment


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What root can still write in one folder."""

    folder: str
    file_system: int  # its number: several folders may lie on one
    free: int  # bytes
    inodes: int | None = None  # None: the file system does not count them


def judge(rooms: Iterable[Room]) -> Iterator[Finding]:
    """Each file system once."""
    for room in {one.file_system: one for one in reversed([*rooms])}.values():
        is_full = room.free < _LITTLE
        if not is_full and (room.inodes is None or room.inodes >= _FEW):
            continue
        yield Finding(
            code=Sign.DISK_FULL,
            is_broken=True,
            where=room.folder,
            what="the file system is full" if is_full else "the file system has no inode left for another file",
            why="neither the agent nor Docker can write there: settings stay as they are, and pulls fail",
            command=f"See what takes up the space: df {'-h' if is_full else '-i'} {room.folder}; docker system df",
        )

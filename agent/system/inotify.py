"""inotify(7), as far as it is needed: for directories held by a descriptor, without a thread.

watchdog watches everything else (`service/watch/paths.py`), but it needs a path and a thread for each directory, and
reads events as fast as they come. Here every file has its own queue: a user who fills it loses only events of their own
file.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from agent.system.libc import LIBC, checked

# linux/inotify.h
_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED: Final = 0xC0
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_ONLYDIR: Final = 0x01000000
_MASK_ADD: Final = 0x20000000  # the same directory may be on one path twice
_NAMES: Final = _ATTRIB | _MOVED | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | _MASK_ADD
_FILES: Final = _NAMES | _MODIFY | _CLOSE_WRITE
_EVENT: Final = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
_AT_ONCE: Final = 64 * 1024  # bytes, some 2000 events
_TIMES: Final = 16  # enough to empty a queue: it holds 16384 events


class InotifyEvent(msgspec.Struct, frozen=True):
    """Something happened to a name in a directory; without a name: to the directory, or events were lost."""

    watch: int  # -1: there were so many events that some are lost
    name: bytes


class Inotify:
    """A queue of the events of some directories. OSError if a limit of inotify(7) is reached."""

    def __init__(self) -> None:
        self.descriptor = checked(LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, directory: int, *, and_files: bool) -> int:
        """Watch a directory by a descriptor, which may be closed afterwards. Returns the number of the watch.

        Events: a name comes, goes, or becomes another file's; with `and_files`, also writes to the files.
        """
        # This name leads to the held directory itself; no other name is looked up.
        path = f"/proc/self/fd/{directory}/.".encode()
        mask = ctypes.c_uint32(_FILES if and_files else _NAMES)
        return checked(LIBC.inotify_add_watch(self.descriptor, path, mask))

    def read(self) -> Iterator[InotifyEvent]:
        """The queued events."""
        for _ in range(_TIMES):
            try:
                found = os.read(self.descriptor, _AT_ONCE)
            except BlockingIOError:
                return
            at = 0
            while at < len(found):
                watch, _, _, length = _EVENT.unpack_from(found, at)
                at += _EVENT.size
                yield InotifyEvent(watch, found[at : at + length].rstrip(b"\0"))
                at += length

    def close(self) -> None:
        os.close(self.descriptor)

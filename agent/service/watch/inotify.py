"""inotify(7), as far as it is needed: directories that are held by a descriptor, told of without a thread.

Beside watchdog, which watches everything else (`paths.py`): that takes a path and a thread for each directory, and
reads what comes as fast as it comes. Here every file has a queue of its own: who fills it loses only their own news.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

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
_MASK_ADD: Final = 0x20000000  # the same directory may stand twice on one way
_NAMES: Final = _ATTRIB | _MOVED | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | _MASK_ADD
_FILES: Final = _NAMES | _MODIFY | _CLOSE_WRITE
_EVENT: Final = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
_AT_ONCE: Final = 64 * 1024  # bytes, some 2000 events
_TIMES: Final = 16  # that empties a queue: it holds 16384 events


class InotifyEvent(msgspec.Struct, frozen=True):
    """Something happened to a name in a directory; without a name to the directory, or to all of them."""

    watch: int  # -1: so much happened that some of it is lost
    name: bytes


class Inotify:
    """A queue of what happens in some directories. OSError if inotify(7)'s limits are reached."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, directory: int, *, and_files: bool) -> int:
        """Watch a directory by a descriptor, which may be closed then; the number of the watch.

        Told of are the names in it that come, go, or become another file's; and what is in the files, if that counts.
        """
        # The name leads to what is held, and no other is looked up on the way.
        path = f"/proc/self/fd/{directory}/.".encode()
        mask = ctypes.c_uint32(_FILES if and_files else _NAMES)
        return self._checked(self._libc.inotify_add_watch(self.descriptor, path, mask))

    def read(self) -> Iterator[InotifyEvent]:
        """What came."""
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

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

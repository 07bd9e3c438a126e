"""The steps of a replacement, as the disk of this machine takes them.

Not known here: in which order they are taken, and what follows if one fails (`files.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

PRIVATE: Final = 0o600


class Disk(Protocol):
    """The steps of a replacement. A crash can come between any two of them, and in the middle of `fill`."""

    def make_directory(self, path: Path, mode: int) -> None: ...
    def create(self, path: Path) -> int:
        """A new file, readable by this user alone from the start; its descriptor."""
        ...

    def fill(self, descriptor: int, data: bytes) -> None:
        """Make the file exactly these bytes, on the disk."""
        ...

    def exchange(self, one: Path, other: Path) -> None:
        """Swap the names of two files in one step."""
        ...

    def readers_wait(self, descriptor: int) -> AbstractContextManager[None]:
        """Programs that open this file meanwhile wait until the end, where the file system can do that."""
        ...

    def rename(self, old: Path, new: Path) -> None: ...
    def rename_to_free(self, old: Path, new: Path) -> None:
        """FileExistsError rather than overwrite."""
        ...

    def remove(self, path: Path) -> None: ...
    def sync_directory(self, path: Path) -> None: ...


_NO_REPLACE: Final = 1  # RENAME_NOREPLACE, linux/fs.h
_EXCHANGE: Final = 2  # RENAME_EXCHANGE
_HERE: Final = -100  # AT_FDCWD
# An old kernel; a file system that does not know the flag (NFS).
NO_RENAMEAT2: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})
_NO_DIRECTORY_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES})  # FUSE; a folder without r


class LocalDisk:
    """The disk of this machine."""

    def make_directory(self, path: Path, mode: int) -> None:
        path.mkdir(mode)
        path.chmod(mode)  # whatever the umask

    def create(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)

    def fill(self, descriptor: int, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], written)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)

    def exchange(self, one: Path, other: Path) -> None:
        _renameat2(one, other, _EXCHANGE)

    @contextlib.contextmanager
    def readers_wait(self, descriptor: int) -> Iterator[None]:
        # OSError: a network file system, another user's file, or a file that is being read.
        with contextlib.suppress(OSError):
            # The kernel announces a waiting program by a signal, which would end this process; SIGURG is ignored.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def rename_to_free(self, old: Path, new: Path) -> None:
        try:
            _renameat2(old, new, _NO_REPLACE)
        except OSError as error:
            if error.errno not in NO_RENAMEAT2:
                raise
            new.hardlink_to(old)
            old.unlink()

    def remove(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_SYNC:
                raise


LOCAL_DISK: Final = LocalDisk()


def _renameat2(old: Path, new: Path, flags: int) -> None:
    """rename(2) with flags, which Python does not have."""
    try:
        call = _libc().renameat2
    except AttributeError as error:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if call(_HERE, os.fsencode(old), _HERE, os.fsencode(new), ctypes.c_uint(flags)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(old), None, str(new))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

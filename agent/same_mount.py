"""Which file a name leads to, without leaving the mount where the way begins: another one may be a network's, and hang.

The file is not opened. The kernel does it by openat2(2); where that is not to be had, in our own unit for one
(FACTS 43), the way is gone step by step.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from pathlib import Path
from stat import S_ISLNK
from typing import Final

_OPENAT2: Final = 437  # the same on every architecture that Docker runs on
_NO_XDEV: Final = 0x01  # RESOLVE_NO_XDEV, linux/openat2.h
_NO_MAGICLINKS: Final = 0x02
_LINKS: Final = 40  # on one way at most, as the kernel has it
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def looked_up(top: Path, path: Path) -> os.stat_result:
    """What stands at `path` below the folder `top`, links followed. OSError: nothing, or the way leads elsewhere."""
    try:
        return by_the_kernel(top, path)
    except OSError as error:
        # EPERM: what a filter of system calls says of one that is younger than the filter.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return by_steps(top, path)


def by_the_kernel(top: Path, path: Path) -> os.stat_result:
    folder = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        file = _opened(folder, path)
    finally:
        os.close(folder)
    try:
        return os.fstat(file)
    finally:
        os.close(file)


def _opened(folder: int, path: Path) -> int:
    """openat2(2), which Python does not have, with O_PATH: the name is looked up, the file is not opened."""
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_CLOEXEC, 0, _NO_XDEV | _NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.syscall(ctypes.c_long(_OPENAT2), folder, os.fsencode(path), ctypes.byref(how), size)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return descriptor


def by_steps(top: Path, path: Path) -> os.stat_result:
    """A mount that appears just now may still be gone into."""
    mounts = _mounts()
    here = Path(os.path.realpath(top, strict=True))
    start = _mount_of(here, mounts)
    ahead, links = [*reversed(path.parts)], 0
    while ahead:
        step = here.parent if (name := ahead.pop()) == ".." else here / name
        if _mount_of(step, mounts) != start:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(step))
        status = step.lstat()
        if not S_ISLNK(status.st_mode):
            here = step
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = step.readlink()
        if target.is_absolute():
            here = Path("/")
            if start != here:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(step))
        ahead += reversed([part for part in target.parts if part != "/"])
    return here.lstat()


def _mounts() -> frozenset[Path]:
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return frozenset(Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), line.split(" ")[4])) for line in lines)


def _mount_of(path: Path, mounts: frozenset[Path]) -> Path:
    return next(above for above in (path, *path.parents) if above in mounts)

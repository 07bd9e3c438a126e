"""A name that is held by a descriptor, and what may be asked of it without waiting for the file system where it lies.

An O_PATH descriptor opens nothing, and getting one asks only the file system of the folder that the name stands in.
Which file system it leads into is said by the kernel's own lists: fdinfo has the number of the mount, which cannot
become another's while it is held, and mountinfo, read after that, has its kind. Any call on the descriptor itself may
hang until that is known (FACTS 68).
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.clients.ground import mounts

# Those that answer by themselves, whatever happens elsewhere. Not /proc and the like: nobody's files lie there.
_LOCAL: Final = frozenset({
    "bcachefs", "btrfs", "ecryptfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "msdos", "nilfs2",
    "ntfs3", "overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "ubifs", "vfat", "xfs", "zfs",
})  # fmt: skip
# Users may mount, too (by fusermount), a thousand times, with long names: 31 MiB.
_LONGEST: Final = 2 * 1024 * 1024  # bytes
_LONGEST_LOOKED_THROUGH: Final = 40 * 1024 * 1024  # 0.1 s, and only for what was mounted after so much
_PATH: Final = 0o10000000  # O_PATH, in the flags that fdinfo shows


@contextmanager
def held(path: Path | str) -> Iterator[int]:
    """The last step of a path, which is not followed and not mounted if it waits for an automounter."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def file_system(descriptor: int) -> str:
    """The kind of file system that it is on; '' if that is mounted nowhere that we could see."""
    return file_systems((descriptor,))[0]


def file_systems(descriptors: Sequence[int]) -> list[str]:
    """Of each, by one look at what is mounted. Where users made that long it takes 10 ms: not in the event loop.

    What was mounted after all that is looked for to the end, without keeping it: nobody's home is hidden by others'
    mounts.
    """
    numbers = [_fdinfo(descriptor)["mnt_id"] for descriptor in descriptors]
    known = f"\n{mountinfo()}"
    kinds = {number: _kind(known.partition(f"\n{number} ")[2], number) for number in numbers}
    if not all(kinds.values()):
        kinds |= _kinds_at_the_end({number for number, kind in kinds.items() if not kind})
    return [kinds[number] for number in numbers]


def _kind(behind: str, number: str) -> str:
    """Of a mount, with all that stands behind its number."""
    line, _, _ = behind.partition("\n")
    return next((mount.kind for mount in mounts(f"{number} {line}")), "")


def _kinds_at_the_end(numbers: set[str]) -> dict[str, str]:
    wanted = {number.encode(): number for number in numbers}
    found: dict[str, str] = {}
    left = _LONGEST_LOOKED_THROUGH
    with Path("/proc/self/mountinfo").open("rb") as file:
        for line in file:
            left -= len(line)
            if left < 0 or len(found) == len(wanted):
                break
            number, _, behind = line.partition(b" ")
            if number in wanted:
                found[wanted[number]] = _kind(behind.decode(errors="surrogateescape"), wanted[number])
    return found


def folder(descriptor: int, kind: str) -> os.stat_result | None:
    """What it is, if it is a directory that lies on a local file system, so that a call on it ends soon."""
    if kind not in _LOCAL:
        return None
    status = os.fstat(descriptor)
    return status if stat.S_ISDIR(status.st_mode) else None


def let_go(descriptor: int) -> None:
    """Close what somebody else gave us. A file that was really opened is flushed, and that may hang: elsewhere."""
    if int(_fdinfo(descriptor)["flags"], 8) & _PATH:
        os.close(descriptor)
    else:
        threading.Thread(target=os.close, args=(descriptor,), daemon=True).start()


def mountinfo(at_most: int = _LONGEST) -> str:
    """What is mounted, so many bytes of it and whole lines; what is beyond is known by `file_systems` alone.

    In bytes, for a carriage return in a name would become a line break.
    """
    with Path("/proc/self/mountinfo").open("rb") as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        data = data[: data.rfind(b"\n", 0, at_most) + 1]
    return data.decode(errors="surrogateescape")


def _fdinfo(descriptor: int) -> dict[str, str]:
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().decode(errors="replace")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.split("\n"))}

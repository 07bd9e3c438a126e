"""What is mounted where, by /proc/self/mountinfo, and which kinds of file systems may hang.

Users can mount, too (fusermount), a thousand times and with long names: 31 MiB of lines. Most of that is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.values.machine_text import lines

NETWORK: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_FUSE: Final = frozenset({"fuse", "fuseblk"})
# Those that answer whatever happens elsewhere. Not /proc and the like: no home is there.
_LOCAL: Final = frozenset({
    "bcachefs", "btrfs", "ecryptfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "msdos", "nilfs2",
    "ntfs3", "overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "ubifs", "vfat", "xfs", "zfs",
})  # fmt: skip
_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_LONGEST: Final = 2 * 1024 * 1024  # bytes
_LONGEST_LOOKED_THROUGH: Final = 40 * 1024 * 1024  # 0.1 s, and only for what was mounted after so much


class Mount(msgspec.Struct, frozen=True):
    """A line of mountinfo."""

    id: int
    parent: int
    point: str
    kind: str

    def holds(self, path: str) -> bool:
        return path == self.point or path.startswith(self.point.rstrip("/") + "/")


def may_hang(kind: str) -> bool:
    """Of a kind of file system; '' is an unknown one."""
    return kind in NETWORK or kind in _FUSE or kind.startswith("fuse.") or kind in ("autofs", "")


def is_local(kind: str) -> bool:
    """Whether a call on such a file system is sure to end soon. Not the opposite of `may_hang`: some are neither."""
    return kind in _LOCAL


def mountinfo(at_most: int = _LONGEST) -> str:
    """What is mounted: whole lines, up to so many bytes. What lies beyond is found only by `kinds`.

    Read as bytes, for a carriage return in a name would become a line break.
    """
    return _text(b"".join(_lines(at_most)))


def mounts(mountinfo: str) -> tuple[Mount, ...]:
    """What is mounted, in the kernel's order."""
    return tuple(mount for line in lines(mountinfo) if (mount := _mount(line)) is not None)


def kinds(numbers: Collection[int]) -> dict[int, str]:
    """The kinds of the mounts with these numbers, in one reading; '' for a mount that is not visible here.

    A mount is found however many come before it, and no other line is kept: mounts of others cannot hide a home.
    """
    wanted = {str(number).encode(): number for number in numbers}
    found = dict.fromkeys(numbers, "")
    for line in _lines(_LONGEST_LOOKED_THROUGH):
        number = wanted.pop(line.partition(b" ")[0], None)
        if number is not None and (mount := _mount(_text(line.removesuffix(b"\n")))) is not None:
            found[number] = mount.kind
        if not wanted:
            break
    return found


def _lines(at_most: int) -> Iterator[bytes]:
    """Whole lines, up to so many bytes."""
    left = at_most
    with _MOUNTINFO.open("rb") as file:
        for line in file:
            left -= len(line)
            if left < 0:
                return
            yield line


def _text(found: bytes) -> str:
    return found.decode(errors="surrogateescape")


def _mount(line: str) -> Mount | None:
    left, separator, right = line.partition(" - ")
    fields = left.split(" ")
    if not separator or len(fields) < 6 or not fields[0].isdecimal() or not fields[1].isdecimal():
        return None
    return Mount(int(fields[0]), int(fields[1]), _unescaped(fields[4]), right.split(" ", 1)[0])


def _unescaped(text: str) -> str:
    """The kernel writes blanks, tabs, line breaks and backslashes in a path as octal."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)

"""The ground on which files lie: what is mounted where, and how far root may go down a path itself.

Root goes through folders of root's, on file systems that do not hang. The first step that is somebody else's is the
threshold: what lies beyond it is looked at by a helper that runs as that somebody. Not known here: whose files count.
"""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from agent.system.links import Ahead
from agent.values.machine_text import lines

NETWORK: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_FUSE: Final = frozenset({"fuse", "fuseblk"})
ROOT: Final = 0


class Kind(enum.Enum):
    """What there is at a path."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    OTHER = "other"


class Seen(msgspec.Struct, frozen=True):
    """What there is at a path that is not followed."""

    kind: Kind
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    device: int = 0
    inode: int = 0


class Looks(Protocol):
    """How names are looked at."""

    def seen(self, path: str) -> Seen | None:
        """None: nothing is there. OSError: it may not be looked at."""
        ...

    def link(self, path: str) -> str: ...


class Mount(msgspec.Struct, frozen=True):
    """A line of /proc/self/mountinfo."""

    id: int
    parent: int
    point: str
    kind: str

    def holds(self, path: str) -> bool:
        return path == self.point or path.startswith(self.point.rstrip("/") + "/")


class Place(msgspec.Struct, frozen=True):
    """Where a path leads, as far as it was gone."""

    path: str  # behind all links that were followed, with what lies beyond
    seen: Seen | None = None  # what stands there; None: nothing, or it was not gone to its end
    far: str = ""  # the kind of file system where looking ended
    why: str = ""  # why it could not be looked at
    way: tuple[tuple[str, Seen], ...] = ()  # the steps before the last
    owner: Seen | None = None  # the first step that is not root's
    folder: str = ""  # the threshold: the last folder that root looked at, and
    folder_seen: Seen | None = None
    below: tuple[str, ...] = ()  # the names that lead on from there


class Ground:
    """Looks at paths, and at none that may hang."""

    def __init__(self, system: Looks, found: Sequence[Mount], trusted: Collection[int] = (ROOT,)) -> None:
        self._system = system
        self._trusted = frozenset(trusted)
        self._known: dict[str, Seen | None] = {}
        self._children: dict[int, list[Mount]] = {}
        for one in found:
            self._children.setdefault(one.parent, []).append(one)
        known = {one.id for one in found}
        self._tops = [one for one in found if one.parent not in known or one.parent == one.id]

    def mount(self, path: str) -> Mount | None:
        """The file system that is in force at a path: the way the kernel goes down to it."""
        current = None
        candidates = self._tops
        visited: set[int] = set()
        while True:
            reached = [one for one in candidates if one.id not in visited and one.holds(path)]
            if not reached:
                return current
            # The nearest is crossed first; what lies on top of it is its child.
            current = min(reached, key=lambda one: len(one.point))
            visited.add(current.id)
            candidates = self._children.get(current.id, [])

    def far(self, path: str) -> str:
        """The kind of file system, if it is one that may hang; else ''."""
        found = self.mount(path)
        return found.kind if found is not None and may_hang(found.kind) else ""

    def place(self, path: str) -> Place:
        """Go down step by step; stop before a step that may hang, and at one that is not root's."""
        ahead, at = Ahead(path), "/"
        at_seen, seen = Seen(Kind.DIRECTORY), Seen(Kind.DIRECTORY)
        way: list[tuple[str, Seen]] = []
        while ahead:
            step = ahead.next()
            if step == "..":
                at = posixpath.dirname(at)
                at_seen = seen = self._folder(at)
                continue
            beneath = posixpath.join(at, step)
            if far := self.far(beneath):
                return Place(posixpath.join(beneath, *ahead.rest), far=far)
            try:
                found = self._seen(beneath)
                is_link = found is not None and found.kind is Kind.LINK and found.uid in self._trusted
                target = self._system.link(beneath) if is_link else None
            except OSError as error:
                return Place(beneath, why=f"{beneath} cannot be looked at: {error.strerror}")
            if found is None:
                return Place(posixpath.join(beneath, *ahead.rest), way=tuple(way))
            if found.uid not in self._trusted:
                is_folder = found.kind is Kind.DIRECTORY
                return Place(
                    posixpath.join(beneath, *ahead.rest),
                    None if ahead else found,
                    way=tuple(way),
                    owner=found,
                    folder=beneath if is_folder else at,
                    folder_seen=found if is_folder else at_seen,
                    below=(*(() if is_folder else (step,)), *ahead.rest),
                )
            way.append((beneath, found))
            if target is None:
                at, seen = beneath, found
                at_seen = found if found.kind is Kind.DIRECTORY else at_seen
                continue
            try:
                at = "/" if ahead.follow(target) else at
            except OSError:
                return Place(beneath, why=f"{beneath} leads in circles")
            at_seen = seen = self._folder(at)
        is_folder = seen.kind is Kind.DIRECTORY
        return Place(
            at,
            seen,
            way=tuple(one for one in way if one[0] != at),
            folder=at if is_folder else posixpath.dirname(at),
            folder_seen=at_seen,
            below=() if is_folder else (posixpath.basename(at),),
        )

    def _folder(self, path: str) -> Seen:
        """A folder that was gone through."""
        return (self._seen(path) if path != "/" else None) or Seen(Kind.DIRECTORY)

    def _seen(self, path: str) -> Seen | None:
        if path not in self._known:
            self._known[path] = self._system.seen(path)
        return self._known[path]


def may_hang(kind: str) -> bool:
    """Of a kind of file system; '' is one that nobody lists."""
    return kind in NETWORK or kind in _FUSE or kind.startswith("fuse.") or kind in ("autofs", "")


def mounts(mountinfo: str) -> tuple[Mount, ...]:
    """What is mounted, in the kernel's order."""
    found = []
    for line in lines(mountinfo):
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if separator and len(fields) >= 6 and fields[0].isdecimal() and fields[1].isdecimal():
            found.append(Mount(int(fields[0]), int(fields[1]), _unescaped(fields[4]), right.split(" ", 1)[0]))
    return tuple(found)


def _unescaped(text: str) -> str:
    """The kernel writes blanks, tabs, line breaks and backslashes in a path as octal."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)

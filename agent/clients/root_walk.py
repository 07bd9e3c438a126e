"""How far root goes down a path itself.

Root goes through folders that belong to root, on file systems that do not hang. The first step that belongs to another
user is the threshold: what lies beyond is looked at by a helper that runs as that user. Not known here: whose files
count.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from agent.clients.mounts import Mount, may_hang
from agent.system.links import Ahead

ROOT: Final = 0


class Kind(enum.Enum):
    """What is at a path."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    OTHER = "other"


class PathEntry(msgspec.Struct, frozen=True):
    """What is at a path, links not followed."""

    kind: Kind
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    device: int = 0
    inode: int = 0


class PathReader(Protocol):
    """Looks at one name."""

    def entry(self, path: str) -> PathEntry | None:
        """None: nothing is there. OSError: it cannot be looked at."""
        ...

    def link(self, path: str) -> str: ...


class Reached(msgspec.Struct, frozen=True):
    """Where a path leads, as far as the walk went."""

    path: str  # behind all links that were followed, and the rest of the path
    entry: PathEntry | None = None  # what is there; None: nothing, or the walk stopped before
    far: str = ""  # the kind of file system where the walk stopped
    why: str = ""  # why it could not go on
    way: tuple[tuple[str, PathEntry], ...] = ()  # the steps before the last
    owner: PathEntry | None = None  # the first step that does not belong to root
    folder: str = ""  # the threshold: the last folder that root looked at, and
    folder_entry: PathEntry | None = None
    below: tuple[str, ...] = ()  # the names that lead on from there


class RootWalk:
    """Walks down paths, and stops before a file system that may hang."""

    def __init__(self, system: PathReader, found: Sequence[Mount], trusted: Collection[int] = (ROOT,)) -> None:
        self._system = system
        self._trusted = frozenset(trusted)
        self._known: dict[str, PathEntry | None] = {}
        self._children: dict[int, list[Mount]] = {}
        for one in found:
            self._children.setdefault(one.parent, []).append(one)
        known = {one.id for one in found}
        self._tops = [one for one in found if one.parent not in known or one.parent == one.id]

    def mount(self, path: str) -> Mount | None:
        """The file system that a path is on, found as the kernel does it."""
        current = None
        candidates = self._tops
        visited: set[int] = set()
        while True:
            reached = [one for one in candidates if one.id not in visited and one.holds(path)]
            if not reached:
                return current
            # The nearest is crossed first; what is mounted over it is its child.
            current = min(reached, key=lambda one: len(one.point))
            visited.add(current.id)
            candidates = self._children.get(current.id, [])

    def far(self, path: str) -> str:
        """The kind of file system, if it is one that may hang; else ''."""
        found = self.mount(path)
        return found.kind if found is not None and may_hang(found.kind) else ""

    def to(self, path: str) -> Reached:
        """Go down step by step; stop before a step that may hang, and at one that does not belong to root."""
        ahead, at = Ahead(path), "/"
        at_entry, entry = PathEntry(Kind.DIRECTORY), PathEntry(Kind.DIRECTORY)
        way: list[tuple[str, PathEntry]] = []
        while ahead:
            step = ahead.next()
            if step == "..":
                at = posixpath.dirname(at)
                at_entry = entry = self._folder(at)
                continue
            beneath = posixpath.join(at, step)
            if far := self.far(beneath):
                return Reached(posixpath.join(beneath, *ahead.rest), far=far)
            try:
                found = self._entry(beneath)
                is_link = found is not None and found.kind is Kind.LINK and found.uid in self._trusted
                target = self._system.link(beneath) if is_link else None
            except OSError as error:
                return Reached(beneath, why=f"{beneath} cannot be looked at: {error.strerror}")
            if found is None:
                return Reached(posixpath.join(beneath, *ahead.rest), way=tuple(way))
            if found.uid not in self._trusted:
                is_folder = found.kind is Kind.DIRECTORY
                return Reached(
                    posixpath.join(beneath, *ahead.rest),
                    None if ahead else found,
                    way=tuple(way),
                    owner=found,
                    folder=beneath if is_folder else at,
                    folder_entry=found if is_folder else at_entry,
                    below=(*(() if is_folder else (step,)), *ahead.rest),
                )
            way.append((beneath, found))
            if target is None:
                at, entry = beneath, found
                at_entry = found if found.kind is Kind.DIRECTORY else at_entry
                continue
            try:
                at = "/" if ahead.follow(target) else at
            except OSError:
                return Reached(beneath, why=f"{beneath} leads in circles")
            at_entry = entry = self._folder(at)
        is_folder = entry.kind is Kind.DIRECTORY
        return Reached(
            at,
            entry,
            way=tuple(one for one in way if one[0] != at),
            folder=at if is_folder else posixpath.dirname(at),
            folder_entry=at_entry,
            below=() if is_folder else (posixpath.basename(at),),
        )

    def _folder(self, path: str) -> PathEntry:
        """A folder that the walk has passed."""
        return (self._entry(path) if path != "/" else None) or PathEntry(Kind.DIRECTORY)

    def _entry(self, path: str) -> PathEntry | None:
        if path not in self._known:
            self._known[path] = self._system.entry(path)
        return self._known[path]

"""Going down a path through symbolic links: what every walk has in common.

What to look at and where to stop is up to each walk: root's on the way to a home, the user's own helper below it, the
watch that looks for the folders that matter. Each has its own precautions. Not known here: the file system.
"""

from __future__ import annotations

import errno
import os
from typing import AnyStr, Final, Generic

MOST_LINKS: Final = 40  # on one path: as many as the kernel follows, path_resolution(7)


class Ahead(Generic[AnyStr]):
    """The names still to be looked up on the way to a path. A ".." stays one of them: it may follow a link."""

    def __init__(self, path: AnyStr) -> None:
        self._names: list[AnyStr] = _reversed(path)
        self._links = 0

    def __bool__(self) -> bool:
        return bool(self._names)

    def next(self) -> AnyStr:
        return self._names.pop()

    @property
    def rest(self) -> tuple[AnyStr, ...]:
        return tuple(reversed(self._names))

    def follow(self, target: AnyStr) -> bool:
        """Put the names of a link's target first. Whether they start at the root; else they start beside the link.

        OSError (ELOOP) if there were more links than the kernel follows.
        """
        self._links += 1
        if self._links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        self._names += _reversed(target)
        return target[:1] in ("/", b"/")


def _reversed(path: AnyStr) -> list[AnyStr]:
    if isinstance(path, bytes):
        return [name for name in reversed(path.split(b"/")) if name not in (b"", b".")]
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]

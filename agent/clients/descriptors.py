"""Names held by a descriptor, and what can be found out about them without waiting for their file system.

An O_PATH descriptor opens nothing, and getting one asks only the file system of the folder that the name is in. The
kernel's own lists say which file system it leads into: fdinfo has the number of the mount, which is not reused while it
is held, and mountinfo, read after that, has its kind. Until that is known, any call on the descriptor may hang
(FACTS 68).
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.clients.mounts import is_local, kinds
from agent.system.proc import read

_PATH: Final = 0o10000000  # O_PATH, in the flags that fdinfo shows


@contextmanager
def held(path: Path | str) -> Iterator[int]:
    """The last step of a path; a link is not followed, an automount is not triggered."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def file_system(descriptor: int) -> str:
    """The kind of file system that it is on; '' if that mount is not visible here."""
    return file_systems((descriptor,))[0]


def file_systems(descriptors: Sequence[int]) -> list[str]:
    """Of each, with one reading of mountinfo. Where users made that long it takes 10 ms: not in the event loop."""
    numbers = [int(_fdinfo(descriptor)["mnt_id"]) for descriptor in descriptors]
    found = kinds(numbers)
    return [found[number] for number in numbers]


def folder(descriptor: int, kind: str) -> os.stat_result | None:
    """Its status, if it is a directory on a local file system, where a call returns soon; else None."""
    if not is_local(kind):
        return None
    status = os.fstat(descriptor)
    return status if stat.S_ISDIR(status.st_mode) else None


def let_go(descriptor: int) -> None:
    """Close a descriptor that another process sent. If it opened a file, closing may hang: then in a thread."""
    if int(_fdinfo(descriptor)["flags"], 8) & _PATH:
        os.close(descriptor)
    else:
        threading.Thread(target=os.close, args=(descriptor,), daemon=True).start()


def _fdinfo(descriptor: int) -> dict[str, str]:
    text = read("self", f"fdinfo/{descriptor}").decode(errors="replace")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.split("\n"))}

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

from agent.clients.mounts import is_local, kinds

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
    """Of each, by one look at what is mounted. Where users made that long it takes 10 ms: not in the event loop."""
    numbers = [int(_fdinfo(descriptor)["mnt_id"]) for descriptor in descriptors]
    found = kinds(numbers)
    return [found[number] for number in numbers]


def folder(descriptor: int, kind: str) -> os.stat_result | None:
    """What it is, if it is a directory that lies on a local file system, so that a call on it ends soon."""
    if not is_local(kind):
        return None
    status = os.fstat(descriptor)
    return status if stat.S_ISDIR(status.st_mode) else None


def let_go(descriptor: int) -> None:
    """Close what somebody else gave us. A file that was really opened is flushed, and that may hang: elsewhere."""
    if int(_fdinfo(descriptor)["flags"], 8) & _PATH:
        os.close(descriptor)
    else:
        threading.Thread(target=os.close, args=(descriptor,), daemon=True).start()


def _fdinfo(descriptor: int) -> dict[str, str]:
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().decode(errors="replace")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.split("\n"))}

"""The names that a file has while it is being written beside the one that it will replace."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

OLD: Final = "-old"  # ends the name of the old bytes, which are kept while a file is rewritten in place
BESIDE: Final = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.docker-proxy-agent(?P<copy>-old)?")
_ON_THEIR_WAY: Final = set[str]()  # the names that this process is writing now; each is unique


def new_beside(real: Path) -> Path:
    # Not `real.parent / name`: Python 3.12 would keep each such name for ever (FACTS 146).
    return real.with_name(f".{real.name}.{os.urandom(4).hex()}.docker-proxy-agent")


@contextlib.contextmanager
def on_its_way(path: Path) -> Iterator[Path]:
    """It is not a leftover of a crash: `sweep` in another thread of this process leaves it alone."""
    _ON_THEIR_WAY.add(path.name)
    try:
        yield path
    finally:
        _ON_THEIR_WAY.discard(path.name)


def is_on_its_way(path: Path) -> bool:
    return path.name in _ON_THEIR_WAY


def is_leftover(name: str) -> bool:
    """Whether a file of this name is one of ours: being written, or left by a crash."""
    return BESIDE.fullmatch(name) is not None

"""Whether anything has changed that means another dockerd or other settings, without asking any process.

systemd keeps the InvocationID of each running unit as a link (`Paths.invocation_link`): reading it starts no process
and opens no socket. A file is compared by what `stat` says of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.system.files import Identity, identity_of


class Glance(msgspec.Struct, frozen=True):
    """Equal to an earlier one as long as nothing has changed."""

    invocation: str
    files: tuple[Identity | None, ...]


def invocation(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - another text after each start, and a Path would keep it (FACTS 146)
    except OSError:
        return ""


def glance(started: str, files: Iterable[Path]) -> Glance:
    """`started`: names dockerd's start, another value for each."""
    return Glance(started, tuple(identity_of(file) for file in files))

"""Whether anything has changed that means another dockerd or other settings, without asking any process.

systemd keeps the InvocationID of each running unit as a link in /run/systemd/units: reading it starts no process and
opens no socket. A file is compared by what `stat` says of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from agent.system.files import Identity, identity_of

_UNITS: Final = Path("/run/systemd/units")


class Glance(msgspec.Struct, frozen=True):
    """Equal to an earlier one as long as nothing has changed."""

    invocation: str
    files: tuple[Identity | None, ...]


def invocation_link(unit: str) -> Path:
    """It exists while the unit is up, or on its way up or down, and points to another target for each start."""
    return _UNITS / f"invocation:{unit}"


def invocation(unit: str) -> str:
    try:
        return str(invocation_link(unit).readlink())
    except OSError:
        return ""


def glance(started: str, files: Iterable[Path]) -> Glance:
    """`started`: names dockerd's start, another value for each."""
    return Glance(started, tuple(identity_of(file) for file in files))


def unit_places(unit: str) -> tuple[Path, ...]:
    """Where a new drop-in or unit file would appear: a directory's time changes with the names in it."""
    folders = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    kind = unit.rpartition(".")[2]
    return tuple(
        path
        for folder in folders
        for path in (Path(folder, unit), Path(folder, f"{unit}.d"), Path(folder, f"{kind}.d"))
    )

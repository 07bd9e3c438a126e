"""Whether anything has moved that tells of another dockerd or of other settings, without asking anybody.

systemd keeps the InvocationID of each unit that runs as a link in /run/systemd/units: reading it starts no process and
opens no socket. A file is glanced at by what `stat` says of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from agent.system.files import Identity, identity_of

_UNITS: Final = Path("/run/systemd/units")


class Glance(msgspec.Struct, frozen=True):
    """Equal to another one as long as nothing has moved."""

    invocation: str
    files: tuple[Identity | None, ...]


def invocation_link(unit: str) -> Path:
    """It is there while the unit is up, or on its way up or down, and names another target for each start."""
    return _UNITS / f"invocation:{unit}"


def invocation(unit: str) -> str:
    try:
        return str(invocation_link(unit).readlink())
    except OSError:
        return ""


def glance(started: str, files: Iterable[Path]) -> Glance:
    """`started`: what differs for another start of dockerd."""
    return Glance(started, tuple(identity_of(file) for file in files))


def unit_places(unit: str) -> tuple[Path, ...]:
    """Where another drop-in or another unit file would appear; a directory's time changes with its names."""
    folders = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    kind = unit.rpartition(".")[2]
    return tuple(
        path
        for folder in folders
        for path in (Path(folder, unit), Path(folder, f"{unit}.d"), Path(folder, f"{kind}.d"))
    )

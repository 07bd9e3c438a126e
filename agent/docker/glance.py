"""Whether anything has moved that tells of another dockerd or of other settings, without asking anybody.

systemd keeps the InvocationID of each unit that runs as a link in /run/systemd/units: reading it starts no process and
opens no socket. A file is glanced at by what `stat` says of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

_UNITS: Final = Path("/run/systemd/units")


class Glance(msgspec.Struct, frozen=True):
    """Equal to another one as long as nothing has moved."""

    invocation: str
    files: tuple[tuple[int, int, int, int], ...]


def invocation_link(unit: str) -> Path:
    """It is there exactly while the unit runs, and names another target for each start."""
    return _UNITS / f"invocation:{unit}"


def invocation(unit: str) -> str:
    try:
        return str(invocation_link(unit).readlink())
    except OSError:
        return ""


def glance(started: str, files: Iterable[Path]) -> Glance:
    """`started`: what differs for another start of dockerd."""
    return Glance(started, tuple(_stat(file) for file in files))


def _stat(file: Path) -> tuple[int, int, int, int]:
    try:
        status = os.stat(file)  # noqa: PTH116 - as path.stat, in half the time
    except OSError:
        return (0, 0, 0, 0)
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def unit_places(unit: str) -> tuple[Path, ...]:
    """Where another drop-in or another unit file would appear; a directory's time changes with its names."""
    folders = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    kind = unit.rpartition(".")[2]
    return tuple(
        path
        for folder in folders
        for path in (Path(folder, unit), Path(folder, f"{unit}.d"), Path(folder, f"{kind}.d"))
    )

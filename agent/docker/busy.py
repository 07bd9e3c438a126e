"""What dockerd is doing that a restart would break off: a pull, a push, a build.

Docker's API does not tell, so the kernel is asked. A pull or push has a connection to the outside; a step of a build is
a child of dockerd, an OCI runtime that works below `buildkit/executor`. A build of the classic builder is a container
like any other.
Not known here: containers, which dockerd reports itself, and for how long any of this is believed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.values.dockerd import BUILD, TRANSFER

_ESTABLISHED, _SYN_SENT, _LISTEN = b"01", b"02", b"0A"  # include/net/tcp_states.h
_LONGEST: Final = 16 * 1024 * 1024  # bytes of one table: 110 000 connections, half a second
_BUILDS_BELOW: Final = b"/buildkit/executor/"


def transfer(pid: int, proc: Path = Path("/proc")) -> str:
    """What this dockerd is doing, in words; '' if nothing, if it is gone, or if it may not be looked at."""
    if not pid:
        return ""
    try:
        if any(_is_step_of_a_build(child) for child in _children(proc, pid)):
            return BUILD
        return TRANSFER if _connects_out(proc / str(pid)) else ""
    except OSError:
        return ""


def _children(proc: Path, pid: int) -> Iterator[Path]:
    # Kernels without CONFIG_PROC_CHILDREN do not list them, so each process is asked for its parent: proc(5), stat.
    parent = str(pid).encode()
    for name in os.listdir(proc):  # noqa: PTH208 - a Path for each process is most of the time that this takes
        if not name.isdecimal():
            continue
        try:
            with open(f"{proc}/{name}/stat", "rb") as stat:  # noqa: PTH123
                words = stat.read().rpartition(b")")[2].split(None, 2)
        except OSError:  # it has ended
            continue
        if words[1] == parent:
            yield proc / name


def _is_step_of_a_build(process: Path) -> bool:
    try:
        return _BUILDS_BELOW in (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return False


def _connects_out(process: Path) -> bool:
    mine = list(_rows(process, _sockets(process)))
    listening = {row.port for row in mine if row.state == _LISTEN}  # connections to these are clients of the API
    return any(row.state in (_ESTABLISHED, _SYN_SENT) and row.port not in listening for row in mine)


def _sockets(process: Path) -> set[bytes]:
    """The inodes of the sockets that it has open."""
    found = set()
    folder = f"{process}/fd"
    for descriptor in os.listdir(folder):  # noqa: PTH208 - as above, and a Path would keep each target (FACTS 146)
        try:
            target = os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1].encode())
    return found


class _Row:
    """A line of /proc/PID/net/tcp: proc(5)."""

    def __init__(self, fields: list[bytes]) -> None:
        self.port = fields[1].rpartition(b":")[2]
        self.state = fields[3]


def _rows(process: Path, sockets: set[bytes]) -> Iterator[_Row]:
    """The rows of these sockets. Read line by line: any user may fill the same table with 100 000 others."""
    for family in ("tcp", "tcp6"):
        left = _LONGEST
        # The rest does not count as a transfer: a user who fills the table must not put a restart off for ever.
        with contextlib.suppress(FileNotFoundError), (process / "net" / family).open("rb") as table:
            for line in table:
                left -= len(line)
                if left < 0:
                    break
                fields = line.split(None, 10)
                if len(fields) > 9 and fields[9] in sockets:
                    yield _Row(fields)

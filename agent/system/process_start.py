"""When a process started, and in which boot: together with its pid that identifies a process. And who logged in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent.system.proc import PROC, read
from agent.values.machine_text import words

_NOBODY: Final = 2**32 - 1
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def started(pid: int, proc: Path = PROC) -> int | None:
    """When a process started, in clock ticks after boot: proc(5), stat, field 22; None if there is none."""
    try:
        stat = read(pid, "stat", proc).decode(errors="replace")
    except OSError:
        return None
    return int(words(stat.rpartition(")")[2])[19])


def login_uid(pid: int) -> int | None:
    """The uid that the process's session logged in with, whatever it became since: proc(5), loginuid.

    None if nobody logged in (a service, a cron job without PAM), or it is not known.
    """
    try:
        text = read(pid, "loginuid").decode()
    except OSError:
        return None
    found = int(text) if text.isdecimal() else _NOBODY
    return found if found < _NOBODY else None


def boot_id() -> str:
    """The id of this boot; '' if the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""

"""When a process started: with its number it tells one process from every other one."""

from __future__ import annotations

from pathlib import Path

from agent.machine_text import words


def started(pid: int) -> int | None:
    """When a process started, in clock ticks after boot: proc(5), stat, field 22; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(words(stat.rpartition(")")[2])[19])

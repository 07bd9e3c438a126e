"""Files of a process in /proc, by text and not by Path.

They are read many times a minute, of other processes each time, and Python keeps a slot for each name in a Path (FACTS
146).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def read(pid: int | str, name: str, proc: Path = PROC) -> bytes:
    """OSError if it is gone, or does not show that."""
    with open(f"{proc}/{pid}/{name}", "rb") as file:  # noqa: PTH123
        return file.read()

"""Directories that cannot be watched. They are read at intervals instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.values.condition import Code, Condition

_NAMED: Final = 3  # more are counted


class Unwatched(msgspec.Struct, frozen=True):
    """Which, and why; and the inotify limit that was reached, as sysctl names it."""

    directories: Mapping[Path, str] = {}
    limit: str = ""

    @property
    def condition(self) -> Condition:
        named = [str(directory) for directory in sorted(self.directories)]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        why = " and ".join(sorted(set(self.directories.values())))
        text = f"a change in {', '.join(named[:_NAMED])}{more} is not noticed at once ({why}), only at intervals"
        remedy = f"Raise the limit: sysctl {self.limit}=N, now: sysctl {self.limit}" if self.limit else ""
        return Condition(Code.FILES_UNWATCHED, text, remedy)

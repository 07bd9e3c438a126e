"""The daemon.json that dockerd last came up with, for the day on which nothing else makes it start.

Kept 0600 in the state directory: it may hold passwords. Not known here: when it is put back (`recover.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from agent.decide.plan import SECRET_MODE
from agent.dockerd import Reality
from agent.errors import AgentError
from agent.machine_text import lines, words
from agent.process_start import started
from agent.state_file import StateFile
from agent.targets import daemon_json
from agent.text_files import read_text, write_text

REFUSED: Final = ".refused-by-dockerd"  # behind the name of a file that was moved out of the way


class _Kept(msgspec.Struct, frozen=True):
    path: str
    text: str | None  # None: it came up without the file

    def __repr__(self) -> str:
        return f"_Kept({self.path})"


class LastGood:
    """Of one Docker."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "last-good.json", _Kept, 1)

    def keep(self, path: str, text: str | None) -> None:
        """dockerd came up with it. That it cannot be kept is no reason to stop."""
        try:
            if self._file.load() != _Kept(path, text):
                self._file.save(_Kept(path, text))
        except AgentError:
            return

    def seen(self, reality: Reality) -> None:
        """Before a restart: what a dockerd that runs was started with, if nobody wrote since."""
        born = _born_ns(reality.unit.pid)
        if born is not None and _last_touched_ns(Path(reality.daemon_json_path)) < born:
            self.keep(reality.daemon_json_path, reality.daemon_json)

    def put_back(self, change: Callable[[str | None], str | None] | None) -> str:
        """In words what was done; '' if what stands there is all that there is. AgentError: it could not be.

        `change`: what a restart under way needs of the file, too.
        """
        kept = self._file.load()
        if kept is None:
            return ""
        path, wanted = Path(kept.path), change(kept.text) if change else kept.text
        now = read_text(path)
        if now == wanted:
            return ""
        said = f"{path} is again as it was when Docker last started"
        if now is not None:
            beside = path.with_name(path.name + REFUSED)
            write_text(beside, read_text(beside), now, SECRET_MODE)
            said += f"; what dockerd refused is kept in {beside}"
        write_text(path, now, wanted, SECRET_MODE if daemon_json.holds_secret(wanted) else None)
        return said


def _last_touched_ns(path: Path) -> int:
    """Also by a rename, which leaves the time of the last write alone."""
    try:
        status = path.stat()
    except OSError:  # what cannot be looked at was not read, either
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _born_ns(pid: int) -> int | None:
    """When a process started, on the wall clock, to the hundredth of a second before."""
    ticks = started(pid) if pid else None
    if ticks is None:
        return None
    boot = next(words(line)[1] for line in lines(Path("/proc/stat").read_text()) if line.startswith("btime"))
    return int((int(boot) + ticks / os.sysconf("SC_CLK_TCK")) * 1e9)

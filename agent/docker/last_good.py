"""The daemon.json that dockerd last came up with, for the day when nothing else makes it start.

It is noted whenever dockerd is seen to run with the file as it is: the file was last touched before this dockerd
started, or it is what was noted for this very start. "No file" counts, too. Kept 0600 in the state directory, for it
may hold passwords.
Not known here: when it is put back (`roll_back.py`), and what follows if none is known (`decide/foreign.py`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.decide.plan import SECRET_MODE
from agent.docker.journal import Journal
from agent.system.process_start import started
from agent.system.state_file import StateFile
from agent.system.text_files import read_text, write_text
from agent.targets import daemon_json
from agent.values.dockerd import FileHistory, Reality, UnitState
from agent.values.errors import AgentError

REFUSED: Final = ".refused-by-dockerd"  # appended to the name of a file that was moved out of the way
_COPIES: Final = 9  # of those, at most


class _GoodFile(msgspec.Struct, frozen=True):
    path: str
    text: str | None  # None: it came up without the file
    invocation: str = ""  # of that start
    before: tuple[str | None] | None = None  # the one before, while this start is on trial

    def __repr__(self) -> str:
        return f"_GoodFile({self.path})"


class LastGood:
    """Of one Docker."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "last-good.json", _GoodFile, 1)
        self._journal = Journal(state)

    def keep(self, path: str, text: str | None, invocation: str = "", *, on_trial: bool = False) -> None:
        """dockerd came up with it. If it cannot be kept, work goes on all the same.

        `on_trial`: the one before stays known, too, until this one is believed.
        """
        try:
            was = self._file.load()
            before = (was.before or (was.text,)) if was is not None and was.path == path else None
            kept = _GoodFile(path, text, invocation, before if on_trial else None)
            if was != kept:
                self._file.save(kept)
        except AgentError:
            return

    def believe(self) -> None:
        """The trial is over: the last one is good."""
        with contextlib.suppress(AgentError):
            if (kept := self._file.load()) is not None and kept.before is not None:
                self._file.save(msgspec.structs.replace(kept, before=None))

    def forsake(self) -> None:
        """dockerd came up with the last one and died of it: the one before is the last good one."""
        with contextlib.suppress(AgentError):
            if (kept := self._file.load()) is not None and kept.before is not None:
                self._file.save(_GoodFile(kept.path, kept.before[0]))

    def keep_if_seen(self, reality: Reality) -> None:
        """Keep the file if a running dockerd was started with it. If it was not, or that is unknown, keep nothing."""
        if self._is_on_trial():
            return
        if reality.unit.is_running and reality.file.is_tried and reality.daemon_json_fault is None:
            self.keep(reality.daemon_json_path, reality.daemon_json, reality.unit.invocation)

    def _is_on_trial(self) -> bool:
        try:
            return self._journal.under_way().trial is not None
        except AgentError:
            return True

    def history(self, path: Path, text: str | None, unit: UnitState, dockerd: int = 0) -> FileHistory:
        """What is known of a file that was just read. `dockerd`: who reads it; 0: not known."""
        try:
            kept, is_open = self._file.load(), self._journal.under_way().bracket is not None
        except AgentError:  # then nothing is known
            kept, is_open = None, True
        if kept is not None and kept.path != str(path):
            kept = None
        is_tried = None if is_open or not unit.is_running else _is_tried(path, text, unit, kept, dockerd=dockerd)
        copy = "" if is_tried or text is None else next((str(one) for one in _copies(path) if _says(one, text)), "")
        return FileHistory(is_tried, kept is not None, copy)

    def put_back(self, change: Callable[[str | None], str | None] | None) -> str:
        """What was done, in words; '' if the file is the last good one, or none is known. AgentError: it failed.

        `change`: an edit that the restart under way needs, too.
        """
        kept = self._file.load()
        if kept is None:
            return ""
        path, wanted = Path(kept.path), change(kept.text) if change else kept.text
        now = read_text(path)
        if now == wanted:
            return ""
        said = f"{path} was restored as it was when Docker last started"
        if now is not None:
            said += f"; the file that dockerd refused is kept as {_kept_beside(path, now)}"
        write_text(path, now, wanted, SECRET_MODE if daemon_json.holds_secret(wanted) else None)
        return said


def _is_tried(path: Path, text: str | None, unit: UnitState, kept: _GoodFile | None, *, dockerd: int) -> bool | None:
    if kept is not None and kept.invocation and kept.invocation == unit.invocation:
        return kept.text == text  # whatever times the files and the clock have
    born = born_ns(dockerd or unit.pid)  # where only who started it is known, it is younger than that
    return None if born is None else last_touched_ns(path) < born


def _copies(path: Path) -> Iterator[Path]:
    """Where files that dockerd refused are kept, the oldest first."""
    yield path.with_name(path.name + REFUSED)
    for number in range(2, _COPIES + 1):
        yield path.with_name(f"{path.name}{REFUSED}.{number}")


def _says(file: Path, text: str) -> bool:
    try:
        return read_text(file) == text
    except AgentError:
        return False


def _kept_beside(path: Path, text: str) -> Path:
    """Keep the text, and where. No earlier copy is overwritten, except the last one once there are too many."""
    for place in _copies(path):
        found = read_text(place)
        if found == text:
            return place
        if found is None:
            break
    write_text(place, found, text, SECRET_MODE)
    return place


def last_touched_ns(path: Path) -> int:
    """Counts a rename, too, which does not change the time of the last write. If the file is gone, its folder tells."""
    for place in (path, path.parent):
        times = [_changed_ns(look) for look in (place.stat, place.lstat)]
        if any(times):
            return max(times)
    return 0


def _changed_ns(look: Callable[[], os.stat_result]) -> int:
    try:
        status = look()
    except OSError:  # not there, or not readable: then dockerd has not read it either
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns)


def born_ns(pid: int) -> int | None:
    """When a process started, on the wall clock, rounded down to a hundredth of a second."""
    ticks = started(pid) if pid else None
    if ticks is None:
        return None
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot_ns + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

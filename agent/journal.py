"""What is under way with Docker, and what to put back if dockerd does not come up with what was written.

A file is noted on disk before it is written, and forgotten only when dockerd runs with what stands there: a restart may
be put off to another pass, another process, another day, and its roll-back must still know what dockerd ran with. The
stage is on disk before the step that it names: an agent that died in between is followed by one that knows whether it
was us who took Docker down.
Not known here: when something is put back, and how Docker comes up again (`apply.py`; after a crash `recover.py`).
"""

from __future__ import annotations

import enum
from pathlib import Path

import msgspec

from agent.audit.log import boot_id
from agent.errors import AgentError
from agent.state_file import StateFile
from agent.text_files import read_text, write_text


class Stage(enum.Enum):
    """How far a transaction has come."""

    WRITING = "writing"  # dockerd has not run with all of it yet
    RESTARTING = "restarting"  # or verifying
    ROLLING_BACK = "rolling-back"  # Docker may be down, and that was us


class Note(msgspec.Struct, frozen=True):
    """One file: what dockerd ran with, and what was written since; None: no file. May hold passwords."""

    before: str | None
    after: str | None
    mode: int | None  # that it had before

    def __repr__(self) -> str:
        return "Note(…)"


class UnderWay(msgspec.Struct, frozen=True):
    """What the journal says. Without a stage nothing is under way."""

    stage: Stage | None = None
    notes: dict[str, Note] = msgspec.field(default_factory=dict)  # by path, in the order of their first writes
    boot: str = ""  # of which this is said


class Journal:
    """The journal of one Docker; 0600 in the state directory."""

    def __init__(self, state: Path) -> None:
        # The first layout held the notes alone; read as this one, it says that nothing is under way.
        self._file = StateFile(state / "journal.json", UnderWay, 1)

    def under_way(self) -> UnderWay:
        """AgentError if the file is there and cannot be understood."""
        return self._file.load() or UnderWay()

    def note(self, path: str, before: str | None, after: str | None, mode: int | None) -> None:
        """Before each write. A file that is noted already keeps what it had when dockerd was last right."""
        notes = self.under_way().notes
        first = notes.get(path)
        noted = Note(before, after, mode) if first is None else Note(first.before, after, first.mode)
        self._save(Stage.WRITING, {**notes, path: noted})

    def enter(self, stage: Stage) -> None:
        """Before the step that it names."""
        self._save(stage, self.under_way().notes)

    def forget(self) -> None:
        """dockerd runs with what stands in the files."""
        if self.under_way() != UnderWay():
            self._file.save(UnderWay())

    def put_back(self) -> tuple[str, ...]:
        """Everything as it was, the last write first; why each that stays could not be. Again: what is left of it."""
        left = []
        for path, note in reversed(self.under_way().notes.items()):
            try:
                _put_back(Path(path), note)
            except AgentError as error:  # the others still go back, and Docker is started whatever happens
                left.append(str(error))
        return tuple(left)

    def settle(self) -> None:
        """Nothing is under way any more; a file in which ours still stands stays noted."""
        notes = {path: note for path, note in self.under_way().notes.items() if _is_left(Path(path), note)}
        if notes:
            self._save(Stage.WRITING, notes)
        else:
            self.forget()

    def _save(self, stage: Stage, notes: dict[str, Note]) -> None:
        self._file.save(UnderWay(stage, notes, boot_id()))


def _put_back(path: Path, note: Note) -> None:
    """Changed if somebody else wrote since: theirs stands."""
    if read_text(path) != note.before:
        write_text(path, note.after, note.before, note.mode)


def _is_left(path: Path, note: Note) -> bool:
    try:
        return note.before != note.after and read_text(path) == note.after
    except AgentError:  # it may still be ours
        return True

"""What to put back if dockerd does not come up with what was written.

A file is noted on disk before it is written, and forgotten only when dockerd runs with what stands there: a restart may
be put off to another pass, another process, another day, and its roll-back must still know what dockerd ran with.
Not known here: when something is put back. What a crash leaves is put right by the next pass, which compares with what
is real; that the next start finishes or undoes it first is for whoever builds crash recovery.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.errors import AgentError
from agent.originals import Kept
from agent.text_files import read_text, write_text


class Note(msgspec.Struct, frozen=True):
    """One file: what dockerd ran with, and what was written since; None: no file. May hold passwords."""

    before: str | None
    after: str | None
    mode: int | None  # that it had before

    def __repr__(self) -> str:
        return "Note(…)"


class Journal:
    """The notes of one Docker, in the order of their first writes; 0600 in the state directory."""

    def __init__(self, state: Path) -> None:
        self._notes = Kept(state / "journal.json", Note)

    def note(self, path: str, before: str | None, after: str | None, mode: int | None) -> None:
        """Before each write. A file that is noted already keeps what it had when dockerd was last right."""
        first = self._notes.of(path)
        self._notes.keep(path, Note(before, after, mode) if first is None else Note(first.before, after, first.mode))

    def forget(self) -> None:
        """dockerd runs with what stands in the files."""
        self._notes.clear()

    def put_back(self) -> tuple[str, ...]:
        """Everything as it was, the last write first; why each that stays could not be."""
        left = []
        for path, note in reversed(self._notes.all().items()):
            try:
                _put_back(Path(path), note)
            except AgentError as error:  # the others still go back, and Docker is started whatever happens
                left.append(str(error))
        self._notes.clear()
        return tuple(left)


def _put_back(path: Path, note: Note) -> None:
    """Changed if somebody else wrote since: theirs stands."""
    if read_text(path) != note.before:
        write_text(path, note.after, note.before, note.mode)

"""What to put back if a change does not end well.

Every write is noted here. For now the notes live as long as the process: what a crash leaves behind is put right by
the next pass, which compares with what is real. They go to disk, below `Paths.state` and before each step, when
crash recovery is built: `note` and `put_back` are the places.
"""

from __future__ import annotations

from agent.files import Changed
from agent.text_files import Written, put_back


class Journal:
    """The notes of one transaction, in the order of its writes."""

    def __init__(self) -> None:
        self._notes: list[Written] = []

    def note(self, written: Written) -> None:
        self._notes.append(written)

    def put_back(self) -> tuple[str, ...]:
        """Everything as it was, the last write first; the paths that somebody else wrote since, which stay theirs."""
        foreign = []
        while self._notes:
            written = self._notes.pop()
            try:
                put_back(written)
            except Changed:
                foreign.append(str(written.path))
        return tuple(foreign)

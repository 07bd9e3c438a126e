"""What to put back if a change does not end well.

Every write is noted here. For now the notes live as long as the process: what a crash leaves behind is put right by
the next pass, which compares with what is real. They go to disk, below `Paths.state` and before each step, when
crash recovery is built: `note` and `put_back` are the places.
"""

from __future__ import annotations

from agent.errors import AgentError
from agent.text_files import Written, put_back


class Journal:
    """The notes of one transaction, in the order of its writes."""

    def __init__(self) -> None:
        self._notes: list[Written] = []

    def note(self, written: Written) -> None:
        self._notes.append(written)

    def put_back(self) -> tuple[str, ...]:
        """Everything as it was, the last write first; why each that stays could not be."""
        left = []
        while self._notes:
            try:
                put_back(self._notes.pop())
            except AgentError as error:  # the others still go back, and Docker is started whatever happens
                left.append(str(error))
        return tuple(left)

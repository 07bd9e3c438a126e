"""Which credentials a dockerd was started with, told by a mark that reveals none of them.

daemon.json's values are not in the process's environment, and /info hides user and password (FACTS 2, 12). So after a
restart was verified, an HMAC of what it was started with is kept with that start's InvocationID.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import msgspec

from agent.system.keyed import digest, to_compare
from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.settings import Masked, Texts


class _Mark(msgspec.Struct):
    invocation: str
    mark: str


class Marks:
    """The mark of the last start that was verified."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "started-with.json", _Mark, 1)
        self._state = state

    def set(self, invocation: str, texts: Texts) -> None:
        self._file.save(_Mark(invocation, digest(self._state, _encoded(texts))))

    def started_with(self, invocation: str, candidates: tuple[Texts, ...]) -> Texts | Masked | None:
        """The candidate that this start had; OTHER: none of them; None: this start has no mark."""
        try:
            found = self._file.load()
        except AgentError:  # an unreadable mark says nothing; the next restart makes a new one
            return None
        if found is None or found.invocation != invocation:
            return None
        for texts in candidates:
            if hmac.compare_digest(to_compare(self._state, _encoded(texts)), found.mark):
                return texts
        return Masked.OTHER


def _encoded(texts: Texts) -> bytes:
    return msgspec.json.encode(texts)

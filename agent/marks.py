"""With which credentials a dockerd was started, told by a mark that gives none of them away.

daemon.json's values are not in the process's environment, and /info hides user and password (FACTS 2, 12). So a
restart that was verified leaves an HMAC of what it was started with, named by that start's InvocationID.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

import msgspec

from agent.errors import AgentError
from agent.files import read_file, replace_file
from agent.settings import Masked, Texts
from agent.state_file import StateFile


class _Mark(msgspec.Struct):
    invocation: str
    mark: str


class Marks:
    """The mark of the last start that was verified, and the key that only root can read."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "started-with.json", _Mark, 1)
        self._key = state / "hmac.key"

    def set(self, invocation: str, texts: Texts) -> None:
        self._file.save(_Mark(invocation, self._of(texts)))

    def started_with(self, invocation: str, candidates: tuple[Texts, ...]) -> Texts | Masked | None:
        """The candidate that this start is known to have had; OTHER: none of them; None: nothing is known."""
        try:
            found = self._file.load()
        except AgentError:  # a mark that cannot be read says nothing, and the next restart makes a new one
            return None
        if found is None or found.invocation != invocation:
            return None
        for texts in candidates:
            if hmac.compare_digest(self._of(texts), found.mark):
                return texts
        return Masked.OTHER

    def _of(self, texts: Texts) -> str:
        return hmac.new(self._secret_key(), msgspec.json.encode(texts), hashlib.sha256).hexdigest()

    def _secret_key(self) -> bytes:
        found = read_file(self._key)
        if found is not None:
            return found.data
        key = secrets.token_bytes(32)
        replace_file(self._key, key, expected=None, parent_mode=0o700)
        return key

"""That the relay was given up, kept in the state directory: the next process of the agent must not try again by itself.

Not known here: when it is given up, and what follows (`decide/relay.py`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.policy import Relay


class _GaveUp(msgspec.Struct, frozen=True):
    port: int
    listen: tuple[str, ...]
    because: str


def _places(relay: Relay) -> tuple[int, tuple[str, ...]]:
    return relay.port, tuple(where.value for where in relay.listen)


class RelayFile:
    """Where it is kept."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "relay-gave-up.json", _GaveUp, 1)

    def load(self, relay: Relay) -> str:
        """Why it was given up; '' if it was not, or with another [relay] than this."""
        try:
            found = self._file.load()
        except AgentError:  # damaged: it is tried again, and given up again
            return ""
        return found.because if found is not None and (found.port, found.listen) == _places(relay) else ""

    def save(self, relay: Relay, because: str) -> bool:
        """Whether it is kept: on a full disk it is not."""
        try:
            self._file.save(_GaveUp(*_places(relay), because))
        except AgentError:
            return False
        return True

    def forget(self) -> None:
        """Try again."""
        self._file.change(lambda found: None if found is None else _GaveUp(0, (), ""))

"""The restarts that recent network changes caused, kept for the agent's next process: its restart must not reset them.

Kept in the state directory, with times of CLOCK_BOOTTIME; another boot begins anew. Not known here: what follows from
it (`decide/unsteady.py`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from agent.decide.unsteady import STEADY, Shaken
from agent.system.process_start import boot_id
from agent.system.state_file import StateFile
from agent.values.errors import AgentError


class KeptShaken(msgspec.Struct, frozen=True):
    """The last network, when the host arrived there, and what the changes before it caused."""

    fingerprint: str | None = None
    changed: float = 0.0
    shaken: Shaken = STEADY


class _OfBoot(msgspec.Struct, frozen=True):
    boot: str
    kept: KeptShaken


class ShakenFile:
    """Where it is kept."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "unsteady.json", _OfBoot, 1)

    def load(self) -> KeptShaken:
        """Of this boot. If the file cannot be read, the worst is a restart that could have waited."""
        try:
            found = self._file.load()
        except AgentError:
            return KeptShaken()
        return found.kept if found is not None and found.boot == boot_id() else KeptShaken()

    def save(self, kept: KeptShaken) -> None:
        with contextlib.suppress(AgentError):  # a full disk: this process still knows it
            self._file.save(_OfBoot(boot_id(), kept))

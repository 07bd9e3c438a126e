"""From start to stop, and how the last agent of this state directory ended: by its word, or without one.

An agent that was killed, or that lost its power, cannot say so; the next one finds that it did not say anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from agent.system.process_start import boot_id
from agent.system.state_file import StateFile
from agent.values.errors import AgentError

TOLD_TO_STOP: Final = "told to stop"


class _Life(msgspec.Struct, frozen=True):
    boot: str
    ended: str | None = None  # how; None: it has not, or could not say so


class Lifetime:
    """Of one agent; for who holds the lock."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "lifetime.json", _Life, 1)

    def begin(self) -> str | None:
        """How the one before ended, if not as it was told to; AgentError: that, or that this one runs, is not kept."""
        try:
            before = self._file.load()
        except AgentError:
            before = None
        self._file.save(_Life(boot_id()))
        return None if before is None else _unclean(before)

    def end(self, how: str) -> None:
        self._file.save(_Life(boot_id(), how))


def _unclean(before: _Life) -> str | None:
    if before.ended is not None:
        return None if before.ended == TOLD_TO_STOP else before.ended
    return "was killed, or crashed" if before.boot == boot_id() else "ended with the machine, without being told to"

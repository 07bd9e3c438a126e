"""From start to stop, and how the last agent of this state directory ended: by its word, or without one.

An agent that is killed cannot record its end; the next one finds that the record is missing.
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
    ended: str | None = None  # how; None: it runs, or could not record its end


class Lifetime:
    """Of one agent; for who holds the lock."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "lifetime.json", _Life, 1)

    def begin(self) -> str | None:
        """How the last agent ended, unless by a stop. AgentError if the start cannot be written down."""
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
    return "was killed, or crashed" if before.boot == boot_id() else "ended with the machine, without a stop"

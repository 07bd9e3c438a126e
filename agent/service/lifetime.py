"""From start to stop, and how the last agent of this state directory ended: by its word, or without one.

An agent that is killed cannot record its end; the next one finds that the record is missing.
"""

from __future__ import annotations

import datetime as dt
import time
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
    at: float | None = None  # when that was, by the wall clock; None: written by an older version


class LastLife(msgspec.Struct, frozen=True):
    """Of the agent before this one."""

    how: str  # it ended
    gap_s: float | None  # since its end, or since the last record; None: neither is known


class Lifetime:
    """Of one agent; for who holds the lock."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "lifetime.json", _Life, 1)

    def begin(self, last_record: str = "") -> LastLife | None:
        """How the last agent ended; None: there was none. AgentError if the start cannot be written down.

        `last_record`: when the log was last written to, RFC 3339; '' if that is not known.
        """
        try:
            before = self._file.load()
        except AgentError:
            before = None
        self._file.save(_Life(boot_id()))
        if before is None:
            return None
        at = _moment(last_record) if before.at is None else before.at
        gap_s = None if at is None else round(max(0.0, time.time() - at), 1)
        return LastLife(before.ended or _without_a_word(before), gap_s)

    def end(self, how: str) -> None:
        self._file.save(_Life(boot_id(), how, time.time()))


def _moment(text: str) -> float | None:
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _without_a_word(before: _Life) -> str:
    return "was killed, or crashed" if before.boot == boot_id() else "ended with the machine, without a stop"

"""Writes state.json: what is news within a second, what has only grown within ten.

The agent wakes at each write, so bytes alone are no reason to write each second.
Not known here: what is in it (`tally.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from agent.relay.tally import Tally
from agent.system.files import read_file, replace_file
from agent.values.errors import AgentError
from agent.values.relay import LARGEST_STATE, RelayState, state_file

NEWS_WITHIN_S: Final = 1.0
GROWN_WITHIN_S: Final = 10.0
_FOR_ALL: Final = 0o644  # no secret is in it; `status` of any user reads what the agent makes of it


class StateFile:
    """Written until it is closed. Without the file, connections go on."""

    def __init__(self, path: Path, tally: Tally, state: Callable[[], RelayState], say: Callable[[str], None]) -> None:
        """`state`: what is to be written now; it may count first what has been carried meanwhile."""
        self._path = path
        self._tally = tally
        self._state = state
        self._say = say
        self._seen = (-1, -1)
        self._written = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_due_at = float("inf")
        self._has_failed = False

    def note(self) -> None:
        """Something was counted."""
        self._be_due(NEWS_WITHIN_S if self._tally.news != self._seen[0] else GROWN_WITHIN_S)

    def write(self) -> None:
        """Now, if anything is new."""
        self.close()
        state = self._state()
        if state.connections:
            self._be_due(GROWN_WITHIN_S, self._loop.time())
        seen = self._tally.news, self._tally.changes
        if seen == self._seen:
            return
        self._seen, self._written = seen, self._loop.time()
        try:
            replace_file(self._path, bounded(state), expected=read_file(self._path), mode=_FOR_ALL)
            self._has_failed = False
        except AgentError as failure:
            if not self._has_failed:
                self._has_failed = True
                self._say(str(failure))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._is_due_at = None, float("inf")

    def _be_due(self, within_s: float, since: float | None = None) -> None:
        due = max(self._loop.time(), (self._written if since is None else since) + within_s)
        if due < self._is_due_at:
            self.close()
            self._is_due_at = due
            self._timer = self._loop.call_at(due, self.write)


def bounded(state: RelayState) -> bytes:
    """Its reader takes nothing that is larger. 200 upstreams with long names would be."""
    data = state_file(state)
    return data if len(data) <= LARGEST_STATE else state_file(msgspec.structs.replace(state, carried=()))

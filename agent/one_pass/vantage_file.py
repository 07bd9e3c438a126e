"""dockerd's last vantage, kept over a boot: the agent starts before Docker, and writes what Docker then starts with.

Kept in the state directory, for one unit. Not known here: how it is found out (`docker/vantage.py`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.vantage import HOST, Vantage


class _Kept(msgspec.Struct, frozen=True):
    unit: str
    vantage: Vantage


class VantageFile:
    """That of the Docker of one unit. Without it, or if it cannot be read, it is this host."""

    def __init__(self, state: Path, unit: str) -> None:
        self._file = StateFile(state / "vantage.json", _Kept, 1)
        self._unit = unit

    def load(self) -> Vantage:
        try:
            found = self._file.load()
        except AgentError:  # the worst is a restart more
            return HOST
        return found.vantage if found is not None and found.unit == self._unit else HOST

    def save(self, vantage: Vantage) -> None:
        with contextlib.suppress(AgentError):  # a full disk: this process still knows it
            self._file.save(_Kept(self._unit, vantage))

"""Settings that Docker did not start with, or did not take: they are not tried again for a while.

They are kept across restarts of the agent, as keyed hashes with a time of CLOCK_BOOTTIME; a new boot starts with none.
Settings that have changed are other settings. Not known here: what is chosen meanwhile (`decide/choose.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.system.clock import SYSTEM_CLOCK
from agent.system.keyed import digest, to_compare
from agent.system.process_start import boot_id
from agent.system.state_file import StateFile
from agent.targets.for_dockerd import as_compared
from agent.values.errors import AgentError
from agent.values.settings import Settings

LASTS_S: Final = 600.0


class _Refusals(msgspec.Struct, frozen=True):
    boot: str = ""
    until: dict[str, float] = msgspec.field(default_factory=dict)  # by the hash of the settings


class Quarantine:
    """That of one Docker."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file = StateFile(state / "quarantine.json", _Refusals, 1)

    def add(self, settings: Settings) -> None:
        """Do not try these from now on."""
        now = SYSTEM_CLOCK.boottime_s()
        current = {key: until for key, until in self._kept().items() if now < until}
        self._file.save(_Refusals(boot_id(), {**current, digest(self._state, _encoded(settings)): now + LASTS_S}))

    def remove(self, settings: Settings) -> None:
        """These were not to blame."""
        kept, key = self._kept(), to_compare(self._state, _encoded(settings))
        if key in kept:
            self._file.save(_Refusals(boot_id(), {one: until for one, until in kept.items() if one != key}))

    def until(self, settings: Mapping[str, Settings]) -> dict[str, float]:
        """Of those that failed, by the same names: until when, by CLOCK_BOOTTIME. That may be over."""
        kept = self._kept()
        if not kept:  # hashes take time, and there is nothing to compare them with
            return {}
        found = {name: kept.get(to_compare(self._state, _encoded(one))) for name, one in settings.items()}
        return {name: until for name, until in found.items() if until is not None}

    def forget(self) -> None:
        """A person has asked: everything may be tried again."""
        if self._kept():
            self._file.save(_Refusals())

    def _kept(self) -> dict[str, float]:
        try:
            found = self._file.load()
        except AgentError:  # then they are tried once more, and noted again if they fail
            return {}
        return found.until if found is not None and found.boot == boot_id() else {}


def _encoded(settings: Settings) -> bytes:
    return msgspec.json.encode(as_compared(settings))

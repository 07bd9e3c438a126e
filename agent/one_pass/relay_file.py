"""What a boot must not undo of the relay: that it was given up, where a pause keeps it, which bridges lead nowhere, and
where containers were given it.

The next process of the agent must not try again by itself. A pause outlives a boot, which relay.json does not. And
containers may run before Docker answers, and for years.
Not known here: when it is given up, and what follows (`decide/relay.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.policy import Relay

_MOST_HAD: Final = 100


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
        nothing = _GaveUp(0, (), "")
        try:
            is_forgotten = self._file.load() in (None, nothing)
        except AgentError:  # damaged: nothing is known of it
            is_forgotten = True
        if not is_forgotten:
            self._file.save(nothing)


class Way(msgspec.Struct, frozen=True):
    """Where the relay goes while the agent is paused. Names of the policy, which knows the passwords."""

    network: str = ""
    upstreams: tuple[str, ...] = ()


class WayFile:
    """Where it is kept."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "relay-way.json", Way, 1)

    def load(self) -> Way:
        """Without any upstream, if none is kept: then it is chosen anew."""
        try:
            return self._file.load() or Way()
        except AgentError:  # damaged
            return Way()

    def keep(self, way: Way) -> bool:
        """Whether it is kept, or forgotten: on a full disk it is not. The same again costs no write."""
        try:
            if way != self.load():  # a damaged one is replaced
                self._file.save(way)
        except AgentError:
            return False
        return True


class InternalFile:
    """The bridges of networks that lead nowhere, by name: Docker's networks outlive a boot, and so do their names."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "relay-internal.json", tuple[str, ...], 1)

    def load(self) -> tuple[str, ...]:
        try:
            return self._file.load() or ()
        except AgentError:  # damaged: Docker is asked in any case
            return ()

    def keep(self, names: tuple[str, ...]) -> bool:
        """Whether they are kept: on a full disk they are not. The same again costs no write."""
        try:
            if names != self.load():  # a damaged one is replaced
                self._file.save(names)
        except AgentError:
            return False
        return True


class HadFile:
    """Where containers were given the relay (`host:port`): they have that also once it has moved, or is off."""

    def __init__(self, state: Path) -> None:
        self._file = StateFile(state / "relay-had.json", tuple[str, ...], 1)

    def load(self) -> frozenset[str]:
        try:
            return frozenset(self._file.load() or ())
        except AgentError:  # damaged: what is given from now on is known
            return frozenset()

    def keep(self, ends: frozenset[str]) -> bool:
        """Whether they are kept: on a full disk they are not."""
        try:
            self._file.save(tuple(sorted(ends)[:_MOST_HAD]))
        except AgentError:
            return False
        return True

"""What has to survive a boot: that the relay was given up, its upstreams in a pause, the bridges of internal networks,
and the addresses of the relay that containers were given.

The next process of the agent must not try again by itself. A pause outlives a boot, which relay.json does not. And
containers may run before Docker answers, and for years.
Not known here: when it is given up, and what follows (`decide/relay.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.policy import Relay

T = TypeVar("T")
_MOST_HAD: Final = 100


class _GaveUp(msgspec.Struct, frozen=True):
    port: int
    listen: tuple[str, ...]
    because: str


_NOT_GIVEN_UP: Final = _GaveUp(0, (), "")


def _places(relay: Relay) -> tuple[int, tuple[str, ...]]:
    return relay.port, tuple(where.value for where in relay.listen)


class _Kept(Generic[T]):
    """A value that outlives a boot. `nothing`: what is known where none is kept, or where the file is damaged."""

    def __init__(self, path: Path, kind: type[T], nothing: T) -> None:
        self._file, self._nothing = StateFile(path, kind, 1), nothing

    def load(self) -> T:
        try:
            found = self._file.load()
        except AgentError:
            return self._nothing
        return self._nothing if found is None else found

    def save(self, value: T) -> None:
        """AgentError on a full disk. The same again costs no write, and a damaged file is replaced."""
        if value != self.load():
            self._file.save(value)

    def keep(self, value: T) -> bool:
        """Whether it is kept: on a full disk it is not."""
        try:
            self.save(value)
        except AgentError:
            return False
        return True


class RelayFile:
    """That it was given up."""

    def __init__(self, state: Path) -> None:
        self._kept = _Kept(state / "relay-gave-up.json", _GaveUp, _NOT_GIVEN_UP)

    def load(self, relay: Relay) -> str:
        """Why it was given up; '' if it was not, or with another [relay] than this, or if the file is damaged."""
        found = self._kept.load()
        return found.because if (found.port, found.listen) == _places(relay) else ""

    def save(self, relay: Relay, because: str) -> bool:
        """Whether it is kept."""
        return self._kept.keep(_GaveUp(*_places(relay), because))

    def forget(self) -> None:
        """Try again."""
        self._kept.save(_NOT_GIVEN_UP)


class Way(msgspec.Struct, frozen=True):
    """Where the relay goes while the agent is paused. Names of the policy, which knows the passwords."""

    network: str = ""
    upstreams: tuple[str, ...] = ()


class WayFile(_Kept[Way]):
    """The upstreams that are kept. Without any, the agent chooses again."""

    def __init__(self, state: Path) -> None:
        super().__init__(state / "relay-way.json", Way, Way())


class InternalFile(_Kept[tuple[str, ...]]):
    """The bridges of internal networks, by name: Docker's networks outlive a boot, and so do their names."""

    def __init__(self, state: Path) -> None:
        super().__init__(state / "relay-internal.json", tuple[str, ...], ())


class HadFile:
    """Where containers were given the relay (`host:port`): they have that also once it has moved, or is off."""

    def __init__(self, state: Path) -> None:
        self._kept: _Kept[tuple[str, ...]] = _Kept(state / "relay-had.json", tuple[str, ...], ())

    def load(self) -> frozenset[str]:
        return frozenset(self._kept.load())

    def keep(self, ends: frozenset[str]) -> bool:
        """Whether they are kept."""
        return self._kept.keep(tuple(sorted(ends)[:_MOST_HAD]))

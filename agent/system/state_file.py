"""A file of the agent's own state: JSON with a format number, 0600, replaced whole.

Not known here: what is in it, and what follows if it is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from agent.system.files import read_file, replace_file
from agent.values.errors import AgentError

T = TypeVar("T")
_ONE_AT_A_TIME: Final = threading.Lock()  # a millisecond, or the disk's


class StateFile(Generic[T]):
    """One file in the state directory."""

    def __init__(
        self, path: Path, kind: type[T], version: int, earlier: Mapping[int, Callable[[object], T]] | None = None
    ) -> None:
        """`earlier`: for each earlier format, the function that converts it to this one."""
        self.path = path
        self._kind = kind
        self._version = version
        self._earlier = earlier or {}

    def load(self) -> T | None:
        """What was saved last; None if nothing was. AgentError if the file cannot be parsed."""
        return self._loaded()[0]

    def take_over(self) -> None:
        """Convert what an earlier version of the agent saved."""
        self.change(lambda state: state)

    def change(self, made: Callable[[T | None], T | None]) -> None:
        """Save what `made` returns for the last state, unless that is None or the same.

        Threads of this process may do this at once without losing each other's changes. The agent's lock keeps other
        processes away.
        """
        with _ONE_AT_A_TIME:
            state, version = self._loaded()
            changed = made(state)
            if changed is not None and (changed != state or version != self._version):
                self.save(changed)

    def _loaded(self) -> tuple[T | None, int]:
        found = read_file(self.path)
        if found is None:
            return None, self._version
        try:
            envelope = msgspec.json.decode(found.data)
            version = envelope["format"]
            if version == self._version:
                return msgspec.convert(envelope["state"], self._kind), version
            if version in self._earlier:
                return self._earlier[version](envelope["state"]), version
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            raise AgentError(str(self.path), "cannot be parsed", "Fix it, or move it away") from error
        raise AgentError(
            str(self.path), f"has format {version}; this agent supports {self._version}", "Update the agent"
        )

    def save(self, state: T) -> None:
        data = msgspec.json.encode({"format": self._version, "state": state})
        replace_file(self.path, data, expected=read_file(self.path), parent_mode=0o700)

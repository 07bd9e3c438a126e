"""A file of the state directory that keeps a value for each target, by its path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import msgspec

from agent.system.files import LARGEST
from agent.system.state_file import StateFile
from agent.values.errors import TargetFailed

T = TypeVar("T")
_LITTLE: Final = 2 * 1024  # bytes for one client's file: four values, and their white space


class Kept(Generic[T]):
    """The values, by the path of the target."""

    def __init__(self, file: StateFile[dict[str, T]], *, is_shared: bool = False) -> None:
        """`is_shared`: the targets belong to different users."""
        self._file = file
        self._is_shared = is_shared

    def take_over(self) -> None:
        """Convert what an earlier version kept."""
        self._file.take_over()

    def of(self, target: str) -> T | None:
        return self.all().get(target)

    def all(self) -> dict[str, T]:
        return self._file.load() or {}

    def keep(self, target: str, what: T) -> None:
        self._file.change(lambda kept: self._with(kept or {}, target, what))

    def forget(self, targets: Iterable[str]) -> None:
        gone = set(targets)
        self._file.change(lambda kept: kept and {target: what for target, what in kept.items() if target not in gone})

    def clear(self) -> None:
        self._file.change(lambda kept: kept and {})

    def _with(self, kept: dict[str, T], target: str, what: T) -> dict[str, T]:
        before = len(msgspec.json.encode(kept[target])) if target in kept else 0
        more = len(msgspec.json.encode(what)) - before
        # Users with large values, or many, must leave room for all others, who need as little as most do.
        if self._is_shared and more > _LITTLE and len(msgspec.json.encode(kept)) + more > LARGEST // 2:
            raise TargetFailed(
                str(self._file.path), f"has no room left for more than {_LITTLE // 1024} KiB of one file"
            )
        return {**kept, target: what}

"""What stood at our keys before the agent first wrote there, for `restore` and `uninstall`.

Files in the state directory, 0600: what they keep may hold a password. Of the daemon's files the bytes are kept, of a
client's never: it holds tokens.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from agent.decide.clients import Owned, Was
from agent.errors import TargetFailed
from agent.files import LARGEST, is_folder
from agent.keyed import keyed
from agent.state_file import StateFile
from agent.targets import json_splice
from agent.targets.client_config import ClientTexts, TextMarks

_LITTLE: Final = 2 * 1024  # bytes of what is kept of one client's file: four values, and their white space
CLIENTS: Final = "clients"  # what the marks of `client_originals` are for


class Original(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the daemon's files before the agent's first write."""

    existed: bool
    content: str | None = None  # the whole file, base64
    mode: int | None = None
    folder_existed: bool = True

    def __repr__(self) -> str:
        return f"Original(existed={self.existed})"

    @property
    def text(self) -> str | None:
        """The whole file; None: there was none."""
        return None if self.content is None else base64.b64decode(self.content).decode()

    @classmethod
    def of(cls, path: str, text: str | None, mode: int | None) -> Original:
        content = None if text is None else base64.b64encode(text.encode()).decode()
        return cls(text is not None, content, mode, is_folder(Path(path).parent))


T = TypeVar("T")


class Kept(Generic[T]):
    """What is kept of each target, by its path."""

    def __init__(self, file: StateFile[dict[str, T]], *, is_shared: bool = False) -> None:
        """`is_shared`: the targets are other people's."""
        self._file = file
        self._is_shared = is_shared

    def take_over(self) -> None:
        """What an earlier version kept is kept as this one does."""
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
        # Whoever has much to be kept, under many names, leaves room for everybody who has as little as most.
        if self._is_shared and more > _LITTLE and len(msgspec.json.encode(kept)) + more > LARGEST // 2:
            raise TargetFailed(
                str(self._file.path), f"has no room left for more than {_LITTLE // 1024} KiB of one file"
            )
        return {**kept, target: what}


def daemon_originals(state: Path) -> Kept[Original]:
    """The daemon's files, as they were."""
    return Kept(StateFile(state / "originals.json", dict[str, Original], 1))


def client_originals(state: Path) -> Kept[Owned]:
    """The clients' files: what our keys said, and by marks what was last written there."""

    def of_format_1(found: object) -> dict[str, Owned]:
        # It kept the four values themselves, a password among them.
        before = msgspec.convert(found, dict[str, _OwnedBefore])
        mark = keyed(state, CLIENTS)
        marks = {path: None if one.last is None else TextMarks.of(one.last, mark) for path, one in before.items()}
        return {path: Owned(one.originals, marks[path], one.was) for path, one in before.items()}

    return Kept(StateFile(state / "client-originals.json", dict[str, Owned], 2, {1: of_format_1}), is_shared=True)


class _OwnedBefore(msgspec.Struct, frozen=True):
    originals: tuple[json_splice.Original, ...] = ()
    last: ClientTexts | None = None
    was: Was | None = None

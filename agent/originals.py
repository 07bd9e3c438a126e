"""What stood at our keys before the agent first wrote there, for `restore` and `uninstall`.

Files in the state directory, 0600: what they keep may hold a password. Of the daemon's files the bytes are kept, of a
client's never: it holds tokens.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import msgspec

from agent.decide.clients import Owned, Was
from agent.system.files import is_folder
from agent.system.kept import Kept
from agent.system.keyed import keyed
from agent.system.state_file import StateFile
from agent.targets import json_splice
from agent.targets.client_config import ClientTexts, TextMarks

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

"""What the daemon's files said before the agent first wrote there, for `restore` and `uninstall`.

Kept in a file of the state directory, 0600: it may hold a password.
"""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

from agent.system.files import is_folder
from agent.system.kept import Kept
from agent.system.state_file import StateFile


class OriginalFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the daemon's files before the agent's first write."""

    existed: bool
    content: str | None = None  # the whole file, base64
    mode: int | None = None
    folder_existed: bool = True

    def __repr__(self) -> str:
        return f"OriginalFile(existed={self.existed})"

    @property
    def text(self) -> str | None:
        """The whole file; None: there was no file."""
        return None if self.content is None else base64.b64decode(self.content).decode()

    @classmethod
    def of(cls, path: str, text: str | None, mode: int | None) -> OriginalFile:
        content = None if text is None else base64.b64encode(text.encode()).decode()
        return cls(text is not None, content, mode, is_folder(Path(path).parent))


def daemon_originals(state: Path) -> Kept[OriginalFile]:
    """The originals that are kept, by path."""
    return Kept(StateFile(state / "originals.json", dict[str, OriginalFile], 1))

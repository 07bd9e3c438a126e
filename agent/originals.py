"""What stood at our keys before the agent first wrote there, for `restore` and `uninstall`.

One file in the state directory, 0600: what it keeps may hold a password.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import msgspec

from agent.errors import AgentError
from agent.files import read_file, replace_file
from agent.settings import Texts

FORMAT: Final = 1


class Original(msgspec.Struct, frozen=True, omit_defaults=True):
    """One target before the agent's first write."""

    path: str
    existed: bool
    texts: Texts = Texts()  # our keys
    content: str | None = None  # the whole file, base64; only of daemon.json
    folder_existed: bool = True

    def __repr__(self) -> str:
        return f"Original({self.path})"

    @property
    def text(self) -> str | None:
        """The whole file, where it was kept; None: there was none."""
        return None if self.content is None else base64.b64decode(self.content).decode()


class _Kept(msgspec.Struct):
    format: int = FORMAT
    targets: dict[str, Original] = msgspec.field(default_factory=dict)


class Originals:
    """The kept originals, by the target's path."""

    def __init__(self, state: Path) -> None:
        self._path = state / "originals.json"

    def of(self, path: str) -> Original | None:
        return self._load().targets.get(path)

    def keep(self, path: str, before: str | None, texts: Texts, with_content: bool) -> Original | None:
        """Keep a target as it is before its first write; the original that was kept now, None if there was one."""
        kept = self._load()
        if path in kept.targets:
            return None
        content = base64.b64encode(before.encode()).decode() if with_content and before is not None else None
        original = Original(path, before is not None, texts, content, Path(path).parent.is_dir())
        kept.targets[path] = original
        self._save(kept)
        return original

    def forget(self, path: str) -> None:
        kept = self._load()
        if kept.targets.pop(path, None) is not None:
            self._save(kept)

    def _load(self) -> _Kept:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.DecodeError) as error:
            raise AgentError(str(self._path), "cannot be read; it says what stood there before the agent") from error
        if kept.format != FORMAT:
            raise AgentError(
                str(self._path), f"is of format {kept.format}; this agent knows {FORMAT}", "Update the agent"
            )
        return kept

    def _save(self, kept: _Kept) -> None:
        replace_file(self._path, msgspec.json.encode(kept), expected=read_file(self._path), parent_mode=0o700)

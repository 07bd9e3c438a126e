"""The end of the chain, kept in the state directory as well.

Whoever cuts records off the log would have to write here, too. The journal holds a third copy (`system_journal.py`).
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Final

import msgspec

from agent.audit.chain import Anchor
from agent.system.files import read_file, replace_file
from agent.values.errors import AgentError

NAME: Final = "anchors.json"
FORMAT: Final = 1


class NoAnchor(enum.Enum):
    """Why there is none."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"  # or not of a format that we know


class _File(msgspec.Struct, frozen=True):
    format: int
    seq: int
    hash: str


def read(state_dir: Path) -> Anchor | NoAnchor:
    """The anchor that is kept there."""
    try:
        state = read_file(state_dir / NAME)
    except AgentError:
        return NoAnchor.UNREADABLE
    if state is None:
        return NoAnchor.ABSENT
    try:
        file = msgspec.json.decode(state.data, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NoAnchor.UNREADABLE
    return Anchor(file.seq, file.hash) if file.format == FORMAT else NoAnchor.UNREADABLE


def write(state_dir: Path, anchor: Anchor) -> None:
    """Keep this anchor instead of the one before; AgentError if that is not possible."""
    path = state_dir / NAME
    content = msgspec.json.encode(_File(FORMAT, anchor.seq, anchor.hash)) + b"\n"
    replace_file(path, content, expected=read_file(path), mode=0o600, parent_mode=0o700)

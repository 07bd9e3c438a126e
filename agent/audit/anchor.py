"""The end of the chain, also kept in the state directory; and how many records could not be written after it.

Who cuts records off the log would have to change this file, too. The journal has a third copy (`system_journal.py`).
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Final

import msgspec

from agent.audit.about_the_log import Missed
from agent.audit.chain import Anchor
from agent.system.files import read_file, replace_file
from agent.system.state_file import StateFile
from agent.values.errors import AgentError

NAME: Final = "anchors.json"
FORMAT: Final = 1
_MISSED: Final = "missed-records.json"


class NoAnchor(enum.Enum):
    """Why there is no anchor."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"  # or of an unknown format


class _File(msgspec.Struct, frozen=True):
    format: int
    seq: int
    hash: str


def read(state_dir: Path) -> Anchor | NoAnchor:
    """The anchor in the state directory."""
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


def missed_file(state_dir: Path) -> StateFile[Missed]:
    """Not there unless records could not be written and none says so yet."""
    return StateFile(state_dir / _MISSED, Missed, 1)


def write(state_dir: Path, anchor: Anchor) -> None:
    """Replace the anchor. Raises AgentError."""
    path = state_dir / NAME
    content = msgspec.json.encode(_File(FORMAT, anchor.seq, anchor.hash)) + b"\n"
    replace_file(path, content, expected=read_file(path), mode=0o600, parent_mode=0o700)

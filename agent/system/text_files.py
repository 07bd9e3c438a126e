"""A target's file as text: read it, and edit it.

On top of `files.py`, which knows how a file is replaced. Not known here: what is in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.system.files import Changed, FileState, read_file, remove_file, replace_file
from agent.values.errors import LEFT, TargetFailed

NEW_FILE: Final = 0o644
TRIES: Final = 3  # a file that another program is writing is read again


def read_text(path: Path) -> str | None:
    """The text of a file; None if there is none. TargetFailed if it cannot be read or is not UTF-8."""
    return _text(path, read_file(path))


def write_text(path: Path, before: str | None, after: str | None, mode: int | None) -> None:
    """Turn the text `before` into `after`. Changed if the file has another text by now.

    `mode`: None keeps the mode that the file has.
    """
    found = read_file(path)
    if _text(path, found) != before:
        raise Changed(path)
    if after is not None:
        kept = mode if mode is not None or found is not None else NEW_FILE
        replace_file(path, after.encode(), expected=found, mode=kept)
    elif found is not None:
        remove_file(path, expected=found)


def edit_text(path: Path, change: Callable[[str | None], str | None]) -> None:
    """Write what `change` makes of the text. Changed if another program keeps writing meanwhile."""
    for tries_left in reversed(range(TRIES)):
        before = read_text(path)
        after = change(before)
        if after == before:
            return
        try:
            write_text(path, before, after, None)
        except Changed:
            if not tries_left:
                raise
        else:
            return


def _text(path: Path, state: FileState | None) -> str | None:
    try:
        return None if state is None else state.data.decode()
    except UnicodeDecodeError as error:
        remedy = "Fix it, then run: docker-proxy-agent apply"
        raise TargetFailed(str(path), f"byte {error.start} is not UTF-8", remedy, then=LEFT) from error

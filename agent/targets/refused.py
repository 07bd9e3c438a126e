"""The error for a text that cannot be read or edited: where in the text, and what is wrong.

Pure. Not known here: the file's path; whoever has it says `failed(path)`.
"""

from __future__ import annotations

from typing import Final

from agent.values.errors import LEFT, TargetFailed
from agent.values.secret import escaped

LONGEST: Final = 300  # characters


class TextRefused(ValueError):
    """A text is not as it must be, so nothing in it is changed. `line` and `column` count from 1; 0 means none."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what, line, column)
        self.what = escaped(what, LONGEST)  # it may quote a name that others wrote
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.column else f"line {self.line}: "
        return f"{where}{self.what}" if self.line else self.what

    def failed(self, path: object) -> TargetFailed:
        """The same error for the file with that text."""
        return TargetFailed(str(path), str(self), "Fix it, then run: docker-proxy-agent apply", then=LEFT)


class NotJson(TextRefused):
    """Not JSON: no program reads it, dockerd included."""


class CannotExpress(TextRefused):
    """The text is valid, but the settings cannot be expressed in it."""

    def failed(self, path: object) -> TargetFailed:
        remedy = 'Remove it from the unit, or use: docker.method = "systemd-drop-in"'
        return TargetFailed(str(path), str(self), remedy, then=LEFT)

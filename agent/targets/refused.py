"""What a target answers when a text cannot be edited: where in the text, and what is wrong.

Pure. Not known here: the file's path; whoever has it says `failed(path)`.
"""

from __future__ import annotations

from typing import Final

from agent.values.errors import TargetFailed
from agent.values.secret import escaped

LONGEST: Final = 300  # characters
LEFT: Final = "; left as it is"  # what becomes of the file


class TextRefused(ValueError):
    """A text is not what it must be, so nothing of it is changed; `line` and `column` count from 1, 0 is nowhere."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what, line, column)
        self.what = escaped(what, LONGEST)  # it may quote a name, which is anybody's
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.column else f"line {self.line}: "
        return f"{where}{self.what}" if self.line else self.what

    def failed(self, path: object) -> TargetFailed:
        """The same for the file that the text stands in."""
        return TargetFailed(str(path), f"{self}{LEFT}", "Mend it, then: docker-proxy-agent apply")


class NotJson(TextRefused):
    """Nobody takes it: no program that reads JSON, dockerd included."""


class CannotExpress(TextRefused):
    """The text is right, but what is wanted cannot be said there."""

    def failed(self, path: object) -> TargetFailed:
        return TargetFailed(
            str(path), f"{self}{LEFT}", 'Take it out of the unit, or use: docker.method = "systemd-drop-in"'
        )

"""What a target answers when a text cannot be edited: where in the text, and what is wrong.

Pure. Not known here: the file's path; whoever has it says `failed(path)`.
"""

from __future__ import annotations

from typing import Final

from agent.values.errors import LEFT, TargetFailed
from agent.values.secret import escaped

LONGEST: Final = 300  # characters


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
        return TargetFailed(str(path), str(self), "Mend it, then: docker-proxy-agent apply", then=LEFT)


class NotJson(TextRefused):
    """Nobody takes it: no program that reads JSON, dockerd included."""


class CannotExpress(TextRefused):
    """The text is right, but what is wanted cannot be said there."""

    def failed(self, path: object) -> TargetFailed:
        remedy = 'Take it out of the unit, or use: docker.method = "systemd-drop-in"'
        return TargetFailed(str(path), str(self), remedy, then=LEFT)

"""Equal texts are kept once: each record of a large log brings its own, and says the same in every move."""

from __future__ import annotations

from typing import Final

_MOST: Final = 10_000  # a log that says something else each time gains nothing


class Texts:
    """Of one way along the log."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def once(self, text: str) -> str:
        """This text, or the equal one that is kept already."""
        if len(self._known) >= _MOST:
            self._known.clear()
        return self._known.setdefault(text, text)

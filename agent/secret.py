"""What may be shown, and the type of what may not.

A `Secret` never shows itself; only the encoders of targets and streams call `.reveal()`, so that one grep finds
every place. Everything else that is meant for a person, a log, a status or the audit log and may hold a proxy's
URL passes `redacted`; text that came from the network passes `escaped`.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

HIDDEN: Final = "•••"
UNPARSABLE: Final = "‹unparsable›"
CUT: Final = 200  # characters of somebody else's text: enough for a sentence, too little for a page

_URL = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*://)?
        (?:(?P<user>[^/?\#\s]*)@)?
        (?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)
        (?P<port>:[0-9]{1,5})?
        /?""",
    re.VERBOSE | re.IGNORECASE,
)


class Secret:
    """A text that `str`, `repr`, formats, pickles and encoders do not show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the encoder of a target or a stream and for nobody else."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, _spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied into a message")


def redacted(url: str) -> str:
    """A proxy's URL without its user and password; `‹unparsable›` rather than a guess where they may lie."""
    if not url:
        return ""
    parts = _URL.fullmatch(url)
    if parts is None:
        return UNPARSABLE
    user = "" if parts["user"] is None else f"{HIDDEN}@"
    return f"{parts['scheme'] or ''}{user}{parts['host']}{parts['port'] or ''}"


def escaped(text: str, limit: int = CUT) -> str:
    """Text that came from the network: one line, no control characters, at most `limit` characters."""
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"

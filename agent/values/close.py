"""Which known word a person may have meant.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The one that is spelled most like it; None if none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - 0.1 MB that is needed only where something is wrong

    spelled = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), spelled, 1)
    return spelled[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "pause"?`, or nothing."""
    meant = closest(word, known)
    return f'; did you mean "{meant}"?' if meant is not None else ""

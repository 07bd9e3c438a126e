"""A line on the screen: a label and a text; and how a long line is folded."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

_LABEL: Final = 13
INDENT: Final = 2 + _LABEL  # where the text begins
_TOGETHER: Final = "\u00a0"  # a blank that does not break
_UNIT: Final = re.compile(r"(?<=[0-9]) (?=(?:ms|s|min|h|days)\b)")
# A command to be copied; at least so much of it that it is known for one.
_COMMAND: Final = re.compile(
    r"(?:\bsudo )?\b(?:docker-proxy-agent(?: [a-z][\w.-]*)?"
    r"|(?:systemctl|journalctl)(?: --?[a-z][\w=-]*)*(?: [a-z][a-z-]*(?: --?[a-z][\w=-]*)*(?: [a-z][\w.@-]*)?)?)"
)
WIDEST: Final = 100  # columns: a longer line is hard to read


def line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}".rstrip()


def width() -> int:
    """Of the terminal, but at most what is easy to read; the same if there is no terminal."""
    import shutil  # noqa: PLC0415 - with bz2 and lzma 0.6 MB, in all that prints and knows no screen

    return min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)


def folded(lines: Iterable[str], columns: int, indent: int = INDENT) -> Iterator[str]:
    """The lines, folded between words, and `indent` columns in from the second on.

    A number stays with its unit, and a command is not broken in two.
    """
    for text in lines:
        pieces = textwrap.wrap(
            _COMMAND.sub(_whole, _UNIT.sub(_TOGETHER, text)), columns, subsequent_indent=" " * indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        yield from (piece.replace(_TOGETHER, " ") for piece in pieces or [""])


def _whole(found: re.Match[str]) -> str:
    return found[0].replace(" ", _TOGETHER)

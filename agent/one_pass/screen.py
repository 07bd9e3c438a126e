"""A line of what is shown to a person: a label, and what there is to say; and how a long one is folded."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

_LABEL: Final = 13
INDENT: Final = 2 + _LABEL  # where what there is to say begins
_TOGETHER: Final = "\u00a0"  # a blank at which no line is folded
_UNIT: Final = re.compile(r"(?<=[0-9]) (?=(?:ms|s|min|h|days)\b)")
_WIDEST: Final = 100  # columns: a longer line is hard to read


def line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}".rstrip()


def width() -> int:
    """Of the terminal, as far as a line is good to read; where there is none, as if it were a wide one."""
    return min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)


def folded(lines: Iterable[str], columns: int) -> Iterator[str]:
    """The same lines, each as many as it needs; no word is cut, nor a number from its unit."""
    for text in lines:
        pieces = textwrap.wrap(
            _UNIT.sub(_TOGETHER, text), columns, subsequent_indent=" " * INDENT,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        yield from (piece.replace(_TOGETHER, " ") for piece in pieces or [""])

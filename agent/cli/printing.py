"""The one way onto a screen, for every command.

Whatever a command prints, on stdout or stderr, passes `say` or `print_json`: cut, redacted, and nothing in it that a
terminal would obey. A test keeps it so: nobody else prints.
"""

from __future__ import annotations

import io
import json
import os
import sys
from types import TracebackType
from typing import Final, TextIO

from agent.one_pass.screen import folded, width
from agent.values.secret import escaped, escaped_lines
from agent.values.shown import plain

LONGEST: Final = 8000  # characters of a line: all clients of a large house


def say(*lines: str, file: TextIO | None = None) -> None:
    """Each of them on a line of its own, whatever stands in it."""
    print(*(escaped(line, LONGEST) for line in lines), sep="\n", file=file)


def page(*lines: str, file: TextIO | None = None) -> None:
    """The same; on a terminal, or where COLUMNS says how wide to be, a long line is folded."""
    shown = [escaped(line, LONGEST) for line in lines]
    is_folded = (file or sys.stdout).isatty() or os.environ.get("COLUMNS", "").isdecimal()
    print(*(folded(shown, width()) if is_folded else shown), sep="\n", file=file)


def complain(*lines: str) -> None:
    """What is no data: on stderr."""
    say(*lines, file=sys.stderr)


def headline(text: str, *, is_bold: bool) -> None:
    """A line that stands out, below an empty one."""
    shown = escaped(text, LONGEST)
    print(f"\n\x1b[1m{shown}\x1b[0m" if is_bold else f"\n{shown}")


def print_json(facts: object, indent: int | None = 2) -> None:
    """Facts for programs, on stdout."""
    shown = plain(facts)
    text = json.dumps(shown, indent=indent, ensure_ascii=False)
    # `backslashreplace` writes what is no JSON.
    print(text if _can_be_printed(text) else json.dumps(shown, indent=indent))


def print_json_line(line: str) -> None:
    """A line of JSON that stands in a file, as it stands: whoever has `sha256sum` can check it.

    One that an agent of before wrote may hold what is not to be shown.
    """
    facts = json.loads(line)
    if line.isprintable() and _can_be_printed(line) and plain(facts) == facts:
        print(line)
    else:
        print_json(facts, indent=None)


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def ready() -> None:
    """Once per process, before anything is printed: nothing that is printed can fail to be encoded."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _unexpected


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python would print itself, as it stands: an exception's text may be anybody's."""
    import traceback  # noqa: PLC0415 - a command that ends well needs it not

    complain(*escaped_lines("".join(traceback.format_exception(kind, error, trace)), LONGEST))

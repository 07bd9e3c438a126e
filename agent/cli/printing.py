"""How every command prints.

Whatever a command prints, on stdout or stderr, passes `say` or `print_json`: cut, redacted, and nothing in it that a
terminal would obey. A test keeps it so: nobody else prints. What is to be pasted or evaluated goes by `exact`: it is
printed to the character, or not at all, and who calls it has left out what is not to be seen.
"""

from __future__ import annotations

import contextlib
import enum
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, TextIO

from agent.one_pass.screen import folded, width
from agent.values.errors import AgentError
from agent.values.secret import escaped, escaped_lines
from agent.values.shown import plain

Spelling = Callable[[str], str]
LONGEST: Final = 8000  # characters of a line: all clients of a large house
_NAME: Final = 17  # characters: the longest name of an event
_spelling: Final[list[Spelling]] = []  # one or none, from `ready`


class Colour(enum.Enum):
    """As a terminal is told it."""

    PLAIN = "0"
    BOLD = "1"
    RED = "31"
    YELLOW = "33"


def say(*lines: str, file: TextIO | None = None) -> None:
    """One line each, whatever it contains."""
    print(*map(_shown, lines), sep="\n", file=file)


def page(*lines: str, file: TextIO | None = None) -> None:
    """The same, but long lines are folded on a terminal, or if COLUMNS gives a width. Without a line, nothing."""
    if not lines:
        return
    shown = [*map(_shown, lines)]
    is_folded = (file or sys.stdout).isatty() or os.environ.get("COLUMNS", "").isdecimal()
    print(*(folded(shown, width()) if is_folded else shown), sep="\n", file=file)


def entry(at: str, name: str, said: str, colour: Colour) -> None:
    """What happened when. On a terminal the name has this colour, and lines that follow begin below it."""
    at, name, said = _shown(at), _shown(name), _shown(said)
    begin = f"{at}  {name:<{_NAME}} "
    is_folded = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    first, *others = folded([begin + said], width(), len(at) + 2) if is_folded else [begin + said]
    if has_colours() and first.startswith(begin):
        first = f"\x1b[2m{at}\x1b[0m  \x1b[{colour.value}m{begin[len(at) + 2 :]}\x1b[0m{first[len(begin) :]}"
    print(first, *others, sep="\n")


def has_colours() -> bool:
    """Whether what is printed goes to a terminal whose user does not mind colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def complain(*lines: str) -> None:
    """Messages, on stderr."""
    say(*lines, file=sys.stderr)


def headline(text: str, *, is_bold: bool) -> None:
    """A heading, below an empty line."""
    shown = escaped(text, LONGEST)
    print(f"\n\x1b[1m{shown}\x1b[0m" if is_bold else f"\n{shown}")


def print_json(facts: object, indent: int | None = 2) -> None:
    """JSON for programs, on stdout."""
    shown = _spelled(plain(facts))
    text = json.dumps(shown, indent=indent, ensure_ascii=False)
    # `backslashreplace` would write something that is not JSON.
    print(text if _can_be_printed(text) else json.dumps(shown, indent=indent))


def print_json_line(line: str) -> None:
    """A line of JSON from a file, unchanged, so that `sha256sum` can check it.

    One that an agent of before wrote may hold what is not to be shown.
    """
    facts = json.loads(line)
    if line.isprintable() and _can_be_printed(line) and plain(facts) == facts:
        print(line)
    else:
        print_json(facts, indent=None)


def exact(text: str) -> None:
    """Lines to be pasted or evaluated, on stdout, as they are. AgentError for what a terminal would obey."""
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise AgentError("stdout", "the text holds a character that does not print")
    exact_bytes(text.encode())


def exact_json(facts: object) -> None:
    """The same as JSON: nothing is cut or redacted, and what does not print is written out."""
    exact(json.dumps(facts, indent=2) + "\n")


def exact_bytes(data: bytes) -> None:
    """A file of somebody's, as it would be on a disk."""
    with _written():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def flush() -> None:
    """At the end of a command: whatever was printed is there, or AgentError says that it is not."""
    if sys.stdout is not None:  # it is closed: `>&-`
        with _written():
            sys.stdout.flush()


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # as in `… | head`
        raise
    except OSError as error:
        # What is still in the buffer would fail once more at exit, where nobody catches it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise AgentError("stdout", f"cannot be written to: {error.strerror}") from error


def _shown(line: str) -> str:
    return escaped(_spelled(line), LONGEST)


def _spelled(facts: Any) -> Any:
    """Every text in it, as it is spelled for who asks."""
    if isinstance(facts, str):
        return _spelling[-1](facts) if _spelling else facts
    if isinstance(facts, dict) and _spelling:
        return {name: _spelled(value) for name, value in facts.items()}
    return [*map(_spelled, facts)] if isinstance(facts, list) and _spelling else facts


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def ready(spelling: Spelling | None = None) -> None:
    """Call once, before anything is printed: afterwards no text can fail to be encoded.

    `spelling`: how commands are spelled for who asks, if not as for the system's instance.
    """
    _spelling[:] = [] if spelling is None else [spelling]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _unexpected


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback, escaped: an exception may quote untrusted text."""
    import traceback  # noqa: PLC0415 - only needed for an error

    complain(*escaped_lines("".join(traceback.format_exception(kind, error, trace)), LONGEST))

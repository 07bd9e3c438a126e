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
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, TextIO

from agent.cli.charset import STAND_INS, is_ascii, started_with
from agent.one_pass.screen import WIDEST, folded, width
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
    GREEN = "32"
    YELLOW = "33"


def say(*lines: str, file: TextIO | None = None) -> None:
    """One line each, whatever it contains."""
    print(*(_shown(line, file) for line in lines), sep="\n", file=file)


def page(*lines: str, file: TextIO | None = None, first: Colour = Colour.PLAIN) -> None:
    """The same, but long lines are folded on a terminal, or if COLUMNS gives a width. Without a line, nothing.

    `first`: on a terminal, the colour of the first word.
    """
    if not lines:
        return
    shown = [_shown(line, file) for line in lines]
    is_folded = (file or sys.stdout).isatty() or os.environ.get("COLUMNS", "").isdecimal()
    shown = [*folded(shown, width())] if is_folded else shown
    if first is not Colour.PLAIN and has_colours():
        shown[0] = _coloured(shown[0], first)
    print(*shown, sep="\n", file=file)


def _coloured(line: str, colour: Colour) -> str:
    word = line.split(" ", 1)[0]
    return f"\x1b[{colour.value}m{word}\x1b[0m{line[len(word) :]}"


@contextlib.contextmanager
def whole_screen() -> Iterator[Callable[[Sequence[str], Colour], None]]:
    """The terminal as a page that is drawn again and again in place; what was on it before is there again afterwards.

    What is drawn is cut to its size: the lines, with the colour of the first word of the second one, below a heading.
    """
    # The other screen, without a cursor, and no line that goes on in the next one.
    _draw("\x1b[?1049h\x1b[?25l\x1b[?7l")
    try:
        yield _draw_page
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            _draw("\x1b[?7h\x1b[?25h\x1b[?1049l")


def _draw_page(lines: Sequence[str], colour: Colour) -> None:
    """In one write and without clearing before, or it would flicker: each line is cleared behind its end."""
    size = os.get_terminal_size(sys.stdout.fileno())
    columns, rows = size if size.columns and size.lines else (80, 24)  # some consoles do not know theirs
    shown = [line[:columns] for line in folded((_shown(line) for line in lines), min(columns, WIDEST))]
    if len(shown) > rows:
        shown = [*shown[: rows - 1], f"  {len(shown) - rows + 1} more lines: make the window higher"[:columns]]
    if colour is not Colour.PLAIN and has_colours() and len(shown) > 2:
        shown[2] = _coloured(shown[2], colour)
    _draw("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in shown) + "\x1b[J")


def _draw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def entry(at: str, name: str, said: str, colour: Colour) -> None:
    """What happened when. On a terminal the name has this colour, and lines that follow begin below it."""
    at, name, said = (_shown(text) for text in (at, name, said))
    begin = f"{at}  {name:<{_NAME}} "
    is_folded = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    first, *others = folded([begin + said], width(), len(at) + 2) if is_folded else [begin + said]
    if has_colours() and first.startswith(begin):
        first = f"\x1b[2m{at}\x1b[0m  \x1b[{colour.value}m{begin[len(at) + 2 :]}\x1b[0m{first[len(begin) :]}"
    print(first, *others, sep="\n")


def has_colours() -> bool:
    """Whether what is printed goes to a terminal whose user does not mind colours (no-color.org)."""
    return has_screen() and not os.environ.get("NO_COLOR")


def has_screen() -> bool:
    """Whether it goes to a terminal that is more than a roll of paper."""
    return sys.stdout.isatty() and (os.environ.get("TERM") or "dumb") != "dumb"


def complain(*lines: str) -> None:
    """Messages, on stderr."""
    say(*lines, file=sys.stderr)


def headline(text: str, *, is_bold: bool) -> None:
    """A heading, below an empty line, with a rule to the edge."""
    room = width() - len(_shown(text)) - 1
    shown = folded([_shown(f"{text} {'─' * room}" if room > 0 else text)], width(), 3)
    print("", *(f"\x1b[1m{line}\x1b[0m" if is_bold else line for line in shown), sep="\n")


def print_json(facts: object, indent: int | None = 2) -> None:
    """JSON for programs, on stdout."""
    shown = _spelled(plain(facts))
    text = json.dumps(shown, indent=indent, ensure_ascii=False)
    # `backslashreplace` would write something that is not JSON.
    print(text if _can_be_printed(text) else json.dumps(shown, indent=indent))


def print_for_a_bar(text: str, whole: Sequence[str], state: str) -> None:
    """JSON for waybar, on one line. It takes texts for Pango's markup, and `class` for its style sheet."""
    shown = {
        "text": _as_markup(_shown(text)),
        "alt": state,
        "tooltip": "\n".join(_as_markup(_shown(line)) for line in whole),
        "class": state,
    }
    print(json.dumps(shown, ensure_ascii=not _can_be_printed("".join(shown.values()))))


def _as_markup(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


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
        raise AgentError("stdout", "the lines to paste contain a character that does not print", "Try --json")
    exact_bytes("\n".join(map(_as_a_remark, text.split("\n"))).encode())


def _as_a_remark(line: str) -> str:
    """What begins with `#` is read, and not run: it need not be exact."""
    if not line.startswith("#") or _can_be_printed(line):
        return line
    return _with_stand_ins(line)


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


def _shown(line: str, file: TextIO | None = None) -> str:
    shown = escaped(_spelled(line), LONGEST)
    return shown if _can_be_printed(shown, file) else _with_stand_ins(shown, file)


def _with_stand_ins(text: str, file: TextIO | None = None) -> str:
    """As long as it will be on the screen, because it may be folded."""
    encoding = (file or sys.stdout).encoding
    return text.translate(STAND_INS).encode(encoding, "backslashreplace").decode(encoding)


def _spelled(facts: Any) -> Any:
    """Every text in it, as it is spelled for who asks."""
    if isinstance(facts, str):
        return _spelling[-1](facts) if _spelling else facts
    if isinstance(facts, dict) and _spelling:
        return {name: _spelled(value) for name, value in facts.items()}
    return [*map(_spelled, facts)] if isinstance(facts, list) and _spelling else facts


def _can_be_printed(text: str, file: TextIO | None = None) -> bool:
    if text.isascii():
        return True
    try:
        text.encode(getattr(file or sys.stdout, "encoding", None) or "utf-8")  # a stream may be closed: `>&-`
    except UnicodeEncodeError:
        return False
    return True


def ready(spelling: Spelling | None = None) -> None:
    """Call once, before anything is printed: afterwards no text can fail to be encoded, and where the C locale was
    asked for, it is ASCII.

    `spelling`: how commands are spelled for who asks, if not as for the system's instance.
    """
    _spelling[:] = [] if spelling is None else [spelling]
    encoding = "ascii" if is_ascii(started_with()) else None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    sys.excepthook = _unexpected


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback, escaped: an exception may quote untrusted text."""
    import traceback  # noqa: PLC0415 - only needed for an error

    complain(*escaped_lines("".join(traceback.format_exception(kind, error, trace)), LONGEST))

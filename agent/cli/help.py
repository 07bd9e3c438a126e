"""How the command line describes itself, and what it says of one that it does not understand.

Not known here: which commands there are (`commands.py`), and what may follow them (`options.py`).
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn

from agent.cli.commands import GROUPS, Command
from agent.cli.misused import Misused
from agent.cli.printing import say
from agent.one_pass.screen import folded, width
from agent.values.close import did_you_mean

PROG: Final = "docker-proxy-agent"
_COLUMN: Final = 14  # where the text about a command begins
_OPTIONS_COLUMN: Final = 24
_NAMES: Final = {"command": "command", "question": "question that audit answers"}


class Parser(argparse.ArgumentParser):
    """argparse's, with help that is readable at 60 columns, and errors that name what may be meant."""

    def __init__(self, **how: Any) -> None:
        """Options cannot be abbreviated: an abbreviation in a script could become ambiguous later."""
        super().__init__(allow_abbrev=False, formatter_class=_Shape, **how)
        self.color = False  # of Python 3.14: all pages look the same

    def error(self, message: str) -> NoReturn:
        said = _worded(message)
        raise Misused(f"{self.prog}: {said}{'' if said.endswith('?') else '.'} See: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        if action.dest in _NAMES:
            self.error(f'"{value}" is not a {_NAMES[action.dest]}{did_you_mean(value, known) or _there_are(known)}')
        one_of = did_you_mean(str(value), known) or f"; use one of: {', '.join(known)}"
        raise argparse.ArgumentError(action, f'"{value}" is not valid here{one_of}')

    def _print_message(self, message: str, file: Any = None) -> None:
        """As everything is printed."""
        if message:
            say(*message.removesuffix("\n").split("\n"), file=file)


class Front(Parser):
    """The whole command line: its help names the commands by what they are for."""

    def format_help(self) -> str:
        formatter = self._get_formatter()
        formatter.add_usage(f"{PROG} [OPTION]... COMMAND ...", (), ())
        formatter.add_text(self.description)
        for group in self._action_groups:
            if all(not isinstance(action, argparse._SubParsersAction) for action in group._group_actions):
                formatter.start_section(group.title)
                formatter.add_arguments(group._group_actions)
                formatter.end_section()
        return "\n".join([formatter.format_help(), *_commands(width()), ""])


def unknown(left: Iterable[str], parser: argparse.ArgumentParser, chosen: Iterable[str]) -> NoReturn:
    """Misused for the first of the words that nothing took. `chosen`: the command, and its question."""
    known = list(parser._option_string_actions)
    for name in chosen:
        parser = _below(parser)[name]
        known += parser._option_string_actions
    first, *_ = sorted(left, key=lambda word: not word.startswith("-"))  # an option's own word may be behind it
    if not first.startswith("-") or first == "-":
        parser.error(f'unexpected argument: "{first}"')
    option = first.partition("=")[0]
    close = did_you_mean(option, (name for name in known if name.startswith("--")))
    parser.error(f"there is no option {option}{close}")


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: below
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, below in action.choices.items()
    }


def _there_are(known: Iterable[str]) -> str:
    known = list(known)
    return f"; use one of: {', '.join(known)}" if len(known) < 10 else ""


_MISSING: Final = re.compile(r"the following arguments are required: (.*)")


def _worded(message: str) -> str:
    """argparse's message in our words."""
    if found := _MISSING.fullmatch(message):
        return f"{found[1]} is missing"
    message = message.removeprefix("argument ")
    return re.sub(r": expected (one|at least one) argument$", " needs a value", message)


# The pages.


def description(command: Command) -> str:
    """The first lines of a command's help."""
    said = f"{sentence(command.text)}{command.more and f' {command.more}'}"
    return f"{said}\n\n{needs(is_root=command.needs_root)}"


def needs(*, is_root: bool) -> str:
    return "Needs root, except with --user, which acts on your own instance." if is_root else "Needs no root."


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def examples(command: Command) -> str:
    """The last lines of a command's help: what to type, and what it does."""
    lines = ["examples:" if len(command.examples) > 1 else "example:"]
    for example in command.examples:
        sudo = "sudo " if command.needs_root else ""
        lines += [f"  {sudo}{PROG} {example.words}", f"      {example.does}"]
    return "\n".join(lines)


def _commands(columns: int) -> Iterator[str]:
    for group, commands in GROUPS.items():
        yield f"{group}:"
        for name, command in commands.items():
            shown = f"{name} *" if command.needs_root else name
            yield from folded([f"  {shown:<{_COLUMN - 2}}{command.text}"], columns, _COLUMN)
        yield ""
    yield from folded([f"  * needs root, as in: sudo {PROG} apply; not with --user"], columns, 4)
    yield ""
    yield from folded([f"{PROG} COMMAND --help shows its options and an example."], columns, 0)


class _Shape(argparse.HelpFormatter):
    """Lines end between words, never at a dash: what is named is to be typed."""

    def __init__(self, prog: str, **how: Any) -> None:
        super().__init__(prog, max_help_position=_OPTIONS_COLUMN, width=width(), **how)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Each line for itself; one that is to be typed is never folded."""
        lines: list[str] = []
        for line in text.split("\n"):
            begin = line[: len(line) - len(line.lstrip())]
            is_typed = line.startswith(("  sudo ", f"  {PROG}"))
            lines += [line] if is_typed or not line else textwrap.wrap(
                line, width, subsequent_indent=begin, break_on_hyphens=False, break_long_words=False
            )  # fmt: skip
        return "\n".join(f"{indent}{line}" for line in lines)

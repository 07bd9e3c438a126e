"""The words of a command line: which command they name, and its arguments.

Not known here: what a command does.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Collection
from typing import Final

from agent import __version__
from agent.cli.commands import COMMANDS
from agent.cli.help import PROG, Front, Parser, description, examples, unknown
from agent.cli.misused import USAGE
from agent.cli.options import OPTIONS, common
from agent.values.errors import AgentError
from agent.values.paths import Paths

SUMMARY: Final = "Keeps Docker's proxy settings right while the machine moves between networks"
# These read no policy, so --policy would have no effect.
_WITHOUT_POLICY: Final = frozenset({"status", "audit", "install", "demo", "relay"})
# These print for a person only; a script uses their exit status.
_WITHOUT_FACTS: Final = frozenset({"run", "init", "install", "uninstall", "demo", "relay"})

_WITHOUT_AN_INSTANCE: Final = frozenset({"demo", "relay"})
_REFUSED: Final = {"--policy": _WITHOUT_POLICY, "--json": _WITHOUT_FACTS, "--user": _WITHOUT_AN_INSTANCE}
_READ_BY_A_GROUP: Final = frozenset({"audit"})  # adm reads the log
# systemd itself starts the one, with its environment; the other one reads what lies in the runtime folder.
_ASK_NOTHING: Final = frozenset({"run", "status"})
_SYSTEM: Final = Paths()

# These are folders: their other files are also run, or imported, on their own.
_FOLDERS: Final = frozenset({"audit", "demo", "doctor", "env", "init", "install"})


def obey(words: list[str]) -> int:
    """Run the named command and return its exit status."""
    name = _named(words)
    parser = _parser({name} & COMMANDS.keys())
    args, left = parser.parse_known_args(words)
    if left:
        unknown(left, parser, [chosen for chosen in (args.command, getattr(args, "question", None)) if chosen])
    if args.command is None:
        if args.json:
            parser.error("name a command")
        parser.print_help()
        return USAGE
    if args.policy is not None and name in _WITHOUT_POLICY:
        parser.error(f"{name} does not use a policy: leave --policy out")
    if args.json and name in _WITHOUT_FACTS:
        parser.error(f"{name} has no JSON output: leave --json out")
    if args.user and args.root != _SYSTEM.root:
        parser.error("--user and --root cannot be used together")
    if args.user and name in _WITHOUT_AN_INSTANCE:
        parser.error(f"{name} does not belong to an instance: leave --user out")
    paths = _paths(name, args)
    if (
        COMMANDS[args.command].needs_root
        and name not in _READ_BY_A_GROUP
        and paths.is_the_systems
        and os.geteuid() != 0
    ):
        typed = importlib.import_module("shlex").join(words)
        raise AgentError(args.command, "needs root", f"Try: sudo {PROG} {typed}")
    # Only now, so that help and a wrong command line are answered at once.
    module = importlib.import_module(f"agent.cli.{name}.command" if name in _FOLDERS else f"agent.cli.{name}")
    status: int = module.run(args, paths)
    return status


def _paths(name: str | None, args: argparse.Namespace) -> Paths:
    if not args.user:
        return Paths(args.root.absolute())
    # Only now: what `check` and `status` do without.
    of_the_caller = importlib.import_module("agent.cli.instance").of_the_caller
    paths: Paths = of_the_caller(asks_systemd=name not in _ASK_NOTHING)
    return paths


def tree() -> argparse.ArgumentParser:
    """The parser with the arguments of every command, for man pages and completions."""
    return _parser(COMMANDS.keys())


def _named(words: list[str]) -> str | None:
    """The command. Misused for an option before it that nothing before a command takes."""
    parser = Parser(prog=PROG, add_help=False)
    common(parser, None)
    parser.add_argument("command", nargs="?")
    found, left = parser.parse_known_args(words)
    name: str | None = found.command
    if name is not None and name not in COMMANDS:
        before = [word for word in words[: words.index(name)] if word in left and word not in ("-h", "--help")]
        if before and "--version" not in before:
            unknown(before, _parser(()), ())
    return name


def _parser(commands: Collection[str | None]) -> Front:
    """The parser; only these commands have their arguments."""
    parser = Front(prog=PROG, description=SUMMARY)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    common(parser, None)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, command in COMMANDS.items():
        own = subparsers.add_parser(name, help=command.text, description=description(command), epilog=examples(command))
        if name in commands:
            if name in OPTIONS:
                OPTIONS[name](own)
            common(own, argparse.SUPPRESS, [option for option, those in _REFUSED.items() if name in those])
    return parser

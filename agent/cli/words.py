"""The words of a command line: which command they name, and what it is told.

Not known here: what a command does.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from agent import __version__
from agent.cli.misused import USAGE, Misused
from agent.values.paths import Paths

SUMMARY: Final = "Keeps Docker's proxy settings right while the machine moves between networks"
COMMANDS: Final = {
    "apply": "one pass now: find what works here, write it, restart Docker if that is due",
    "plan": "what a pass would do and why, as a diff; changes nothing",
    "probe": "every upstream's verdict here and now, with timings",
    "check": "whether the policy is valid, with all that is wrong in it",
    "run": "the service itself: the unit starts it",
    "status": "what the running agent sees, chose, did, and waits for",
    "pin": "use one upstream, whatever its verdict, in every network",
    "unpin": "let the agent choose again",
    "pause": "hands off: nothing is written or restarted",
    "resume": "end a pause",
    "reload": "read the policy and the password files again, and try again what was given up",
    "audit": "the audit log, filtered and readable; `audit verify`",
    "install": "set up the service: unit and folders, enabled and started; again, it upgrades",
    "uninstall": "remove the service, and put everything back as it was before it",
    "restore": "put everything back as it was before the agent first wrote; the service stays",
    "demo": "a roaming laptop on loopback, in a throw-away root, nothing of the system touched",
}
# What they print or do hangs on no policy; named in vain it would be ignored.
_WITHOUT_POLICY: Final = frozenset({"status", "audit", "install", "demo"})
# They tell a person what they do; a program goes by their exit status.
_WITHOUT_FACTS: Final = frozenset({"run", "install", "uninstall", "demo"})

# Those of several files: what else lies in the folder of one is run and imported without it.
_FOLDERS: Final = frozenset({"demo", "install"})


class _Parser(argparse.ArgumentParser):
    def __init__(self, **how: Any) -> None:
        """No option may be shortened: what a script writes today would mean two of them tomorrow."""
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        raise Misused(f"{self.prog}: {message}. See: {self.prog} --help")


def obey(words: list[str]) -> int:
    """Run the command that they name; its exit status."""
    # Only the command that is asked for is imported: `--help` and `check` answer at once.
    name = _named(words)
    module = importlib.import_module(_module(name)) if name in COMMANDS else None
    parser = _parser(name, module)
    args = parser.parse_args(words)
    if module is None:
        if args.json:
            parser.error("no command is named")
        parser.print_help()
        return USAGE
    if args.policy is not None and name in _WITHOUT_POLICY:
        parser.error(f"{name} goes by no policy of its own: leave --policy out")
    if args.json and name in _WITHOUT_FACTS:
        parser.error(f"{name} prints no facts: leave --json out")
    status: int = module.run(args, Paths(args.root.absolute()))
    return status


def _module(name: str | None) -> str:
    return f"agent.cli.{name}.command" if name in _FOLDERS else f"agent.cli.{name}"


def _named(words: list[str]) -> str | None:
    parser = _Parser(add_help=False)
    _common(parser, None)
    parser.add_argument("command", nargs="?")
    found: str | None = parser.parse_known_args(words)[0].command
    return found


def _parser(name: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    _common(common, argparse.SUPPRESS)
    parser = _Parser(prog="docker-proxy-agent", description=SUMMARY)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _common(parser, None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command, text in COMMANDS.items():
        is_asked = command == name and module is not None
        own = commands.add_parser(command, help=text, description=text, parents=[common] if is_asked else [])
        if is_asked and module is not None:
            module.arguments(own)
    return parser


def _common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Options that stand before or behind the command; behind it they must not undo what stood before."""
    is_first = default is None
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", default=default, help="the policy (/etc/docker-proxy-agent/config.toml)"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", default=Path("/") if is_first else default,
        help="take every path of the system below DIR; systemctl is never called",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", default=False if is_first else default, help="print facts for programs"
    )
    parser.add_argument(
        "-v", "--verbose", action="count", default=0 if is_first else default, help="say more on stderr"
    )

"""The words of a command line: which command they name, and its arguments.

Not known here: what a command does.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from agent import __version__
from agent.cli.misused import USAGE, Misused
from agent.values.paths import Paths

SUMMARY: Final = "Keeps Docker's proxy settings right while the machine moves between networks"
COMMANDS: Final = {
    "init": "write a first policy from what this system has; or add the place where it is now",
    "apply": "run one pass now: find an upstream that works, write it, and restart Docker if needed",
    "plan": "show what a pass would do and why, as a diff; change nothing",
    "probe": "test every upstream now and show each result with its timings",
    "check": "check the policy and list everything that is wrong with it",
    "stale": "list what was made with other settings: containers, builders, images; with the command for each",
    "doctor": "find what stands in the way of a pull, and say what helps; change nothing",
    "run": "run the service; the systemd unit starts it",
    "status": "show what the running agent sees, chose, did and waits for",
    "pin": "use one upstream in every network, whether it works or not",
    "unpin": "let the agent choose again",
    "pause": "write nothing and restart nothing until resume",
    "resume": "end a pause",
    "reload": "read the policy and the password files again, and retry what was given up",
    "env": "show the lines for one container, one build or one shell, or what another system's Docker wants",
    "audit": "show the audit log, or answer a question by it: at TIME, outages, who, verify",
    "install": "set up the service, enable it and start it; run again, it upgrades",
    "uninstall": "remove the service and restore every file",
    "restore": "restore every file as it was before the agent first wrote it; the service stays",
    "relay": "carry connections for Docker and containers; its systemd unit starts it",
    "demo": "show a roaming laptop, all on loopback and in a temporary directory; your system is not touched",
}
# These read no policy, so --policy would have no effect.
_WITHOUT_POLICY: Final = frozenset({"status", "audit", "install", "demo", "relay"})
# These print for a person only; a script uses their exit status.
_WITHOUT_FACTS: Final = frozenset({"run", "init", "install", "uninstall", "demo", "relay"})

_WITHOUT_AN_INSTANCE: Final = frozenset({"demo", "relay"})
# systemd itself starts the one, with its environment; the other one reads what lies in the runtime folder.
_ASK_NOTHING: Final = frozenset({"run", "status"})
_SYSTEM: Final = Paths()

# These are folders: their other files are also run, or imported, on their own.
_FOLDERS: Final = frozenset({"audit", "demo", "doctor", "env", "init", "install"})


class _Parser(argparse.ArgumentParser):
    def __init__(self, **how: Any) -> None:
        """Options cannot be abbreviated: an abbreviation in a script could become ambiguous later."""
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        raise Misused(f"{self.prog}: {message}. See: {self.prog} --help")


def obey(words: list[str]) -> int:
    """Run the named command and return its exit status."""
    # Import only this command, so that `--help` and `check` are fast.
    name = _named(words)
    module = _imported(name) if name in COMMANDS else None
    parser = _parser({} if module is None else {name: module})
    args = parser.parse_args(words)
    if module is None:
        if args.json:
            parser.error("name a command")
        parser.print_help()
        return USAGE
    if args.policy is not None and name in _WITHOUT_POLICY:
        parser.error(f"{name} uses no policy: leave --policy out")
    if args.json and name in _WITHOUT_FACTS:
        parser.error(f"{name} has no JSON output: leave --json out")
    if args.user and args.root != _SYSTEM.root:
        parser.error("--user and --root exclude each other")
    if args.user and name in _WITHOUT_AN_INSTANCE:
        parser.error(f"{name} is about no instance: leave --user out")
    status: int = module.run(args, _paths(name, args))
    return status


def _paths(name: str | None, args: argparse.Namespace) -> Paths:
    if not args.user:
        return Paths(args.root.absolute())
    # Only now: what `check` and `status` do without.
    of_the_caller = importlib.import_module("agent.cli.instance").of_the_caller
    paths: Paths = of_the_caller(asks_systemd=name not in _ASK_NOTHING)
    return paths


def tree() -> argparse.ArgumentParser:
    """The parser with the arguments of every command, for man pages and completions: it imports all of them."""
    return _parser({name: _imported(name) for name in COMMANDS})


def _imported(name: str | None) -> ModuleType:
    return importlib.import_module(f"agent.cli.{name}.command" if name in _FOLDERS else f"agent.cli.{name}")


def _named(words: list[str]) -> str | None:
    parser = _Parser(add_help=False)
    common_options(parser, None)
    parser.add_argument("command", nargs="?")
    found: str | None = parser.parse_known_args(words)[0].command
    return found


def _parser(modules: Mapping[str | None, ModuleType]) -> argparse.ArgumentParser:
    """Only of these commands with their arguments."""
    common = _Parser(add_help=False)
    common_options(common, argparse.SUPPRESS)
    parser = _Parser(prog="docker-proxy-agent", description=SUMMARY)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    common_options(parser, None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command, text in COMMANDS.items():
        module = modules.get(command)
        own = commands.add_parser(command, help=text, description=text, parents=[] if module is None else [common])
        if module is not None:
            module.arguments(own)
    return parser


def common_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Options before or after the command. After it, their defaults must not overwrite what came before."""
    is_first = default is None
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        default=default,
        help="use this policy (default: /etc/docker-proxy-agent/config.toml)",
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", default=Path("/") if is_first else default,
        help="use DIR in place of / for every path; never call systemctl",
    )  # fmt: skip
    parser.add_argument(
        "--user",
        action="store_true",
        default=False if is_first else default,
        help="your own instance, for a Docker of your own (docs/rootless.md)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=False if is_first else default,
        help="print JSON, for scripts (docs/json.md)",
    )
    parser.add_argument(
        "-v", "--verbose", action="count", default=0 if is_first else default, help="print more on stderr"
    )

"""What may follow each command: options and arguments, as argparse takes them.

Light on purpose: `--help` imports this file and not what a command needs to run. So what reads a value is imported when
there is one. The questions of `audit` have theirs in `audit/options.py`.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

_NOW: Final = "restart Docker if needed, even if containers run"


def common(parser: argparse.ArgumentParser, default: str | None, hidden: Collection[str] = ()) -> None:
    """Options before or after the command. After it, their defaults must not overwrite what came before.

    `hidden`: what this command refuses, so that its help does not offer it.
    """
    is_first = default is None

    def help_of(option: str, text: str) -> str:
        return argparse.SUPPRESS if option in hidden else text

    shared = parser.add_argument_group("options of every command") if not is_first else parser
    shared.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        default=default,
        help=help_of("--policy", "use this policy (default: /etc/docker-proxy-agent/config.toml)"),
    )
    shared.add_argument(
        "--root", type=Path, metavar="DIR", default=Path("/") if is_first else default,
        help="use DIR in place of / for every path; never call systemctl",
    )  # fmt: skip
    shared.add_argument(
        "--user",
        action="store_true",
        default=False if is_first else default,
        help=help_of("--user", "your own instance, for a Docker of your own (docs/rootless.md)"),
    )
    shared.add_argument(
        "--json",
        action="store_true",
        default=False if is_first else default,
        help=help_of("--json", "print JSON, for scripts (docs/json.md)"),
    )
    shared.add_argument(
        "-v", "--verbose", action="count", default=0 if is_first else default, help="print more on stderr"
    )


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--proxy",
        action="append",
        default=[],
        type=url_without_password,
        metavar="URL",
        help="a proxy you know of, such as http://proxy.example:3128; may be given several times",
    )
    parser.add_argument("--write", action="store_true", help="write it without asking")
    parser.add_argument(
        "--add-network", metavar="NAME", help="add the place where the machine is now to the existing policy"
    )


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--offline",
        action="store_true",
        help="the policy is for another machine: do not look for the files and users it names",
    )


def _with_now(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help=_NOW)


def _apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help=f"do not wait: {_NOW}")


def _uninstall(parser: argparse.ArgumentParser) -> None:
    _with_now(parser)
    parser.add_argument("--purge", action="store_true", help="also remove the policy and the audit log")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="keep the temporary directory and print its path")


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--watch", action="store_true", help="keep it up to date until Ctrl-C; in a pipe, print it whenever it changes"
    )
    parser.add_argument(
        "--short", action="store_true", help="one line, for a prompt or a bar; with --json as waybar reads it"
    )
    parser.add_argument(
        "--format",
        choices=["prometheus"],
        help="print metrics for a program that collects them (docs/monitoring.md)",
    )


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="also write a report for a helpdesk to this new file, without passwords, user names and places",
    )
    parser.add_argument(
        "--full", action="store_true", help="with --bundle: include SSIDs, addresses and search domains of places"
    )


def _pac(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "urls",
        nargs="*",
        type=_asked_about,
        metavar="URL",
        help="what to ask about, such as ghcr.io; default: the registries of the policy, or Docker Hub",
    )
    parser.add_argument("--pac", type=_pac_file, metavar="FILE", help="this file or URL, or auto; no policy is needed")
    parser.add_argument("--evaluator", action="store_true", help="evaluate one file; its systemd unit starts it")


def _pin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("upstream", metavar="NAME", help="an upstream of the policy, or direct")
    _pause(parser)


def _pause(parser: argparse.ArgumentParser) -> None:
    lasts = parser.add_mutually_exclusive_group()
    lasts.add_argument(
        "for_s",
        nargs="?",
        action=_Said,
        type=_lasting,
        metavar="TIME",
        help="for how long, such as 90s, 45m, 2h or 1h30m",
    )
    lasts.add_argument("--for", dest="for_s", action=_Said, type=_lasting, metavar="TIME", help="same as TIME")


def _env(parser: argparse.ArgumentParser) -> None:
    shells = [shell.value for shell in importlib.import_module("agent.targets.shells").Shell]
    places = importlib.import_module("agent.values.places").PLACES
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--upstream", metavar="NAME", help="for this upstream of the policy, whatever is chosen")
    which.add_argument("--url", type=_url, metavar="URL", help="for this proxy; no policy is needed")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--shell",
        choices=shells,
        metavar="NAME",
        help=f"variables for a shell to evaluate: {', '.join(shells)} (docs/commands.md)",
    )
    what.add_argument(
        "--system",
        choices=places,
        metavar="NAME",
        help=f"the files and commands for the Docker of another system: {', '.join(places)}",
    )
    parser.add_argument(
        "--merge",
        type=Path,
        metavar="FILE",
        help="with --system: print FILE with the settings in it; nothing is written",
    )
    parser.add_argument(
        "--show-secrets",
        action="store_true",
        help="include the user and password: anyone who sees your screen, your history or the container sees them too",
    )


def _audit(parser: argparse.ArgumentParser) -> None:
    importlib.import_module("agent.cli.audit.options").arguments(parser)


def _relay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="ADDRESS:PORT",
        help="listen there, instead of on the sockets from systemd; may be given several times",
    )


OPTIONS: Final[Mapping[str, Callable[[argparse.ArgumentParser], None]]] = {
    "init": _init,
    "check": _check,
    "uninstall": _uninstall,
    "restore": _with_now,
    "demo": _demo,
    "status": _status,
    "doctor": _doctor,
    "pac": _pac,
    "apply": _apply,
    "pin": _pin,
    "pause": _pause,
    "env": _env,
    "audit": _audit,
    "relay": _relay,
}


class _Said(argparse.Action):
    """One of two ways to say the same: the one that is not used does not overwrite the other."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, value: object, _option: object = None) -> None:
        if value is not None:
            setattr(namespace, self.dest, value)


def _lasting(text: str) -> float:
    """Seconds, from a duration as the policy writes it."""
    try:
        seconds = float(importlib.import_module("agent.values.policy").Duration.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" {error}') from error
    if not seconds:
        raise argparse.ArgumentTypeError(f'"{text}" must be longer than 0 s')
    return seconds


def _asked_about(text: str) -> Any:
    try:
        return importlib.import_module("agent.values.pac").asked_about(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pac_file(text: str) -> str:
    """What may be a password is not repeated."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    if "://" in text:
        try:
            importlib.import_module("agent.values.policy").PacUrl.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text


def url_without_password(text: str) -> Any:
    """As a policy has it. Whatever else stands in a command line, every user of this host can read."""
    if "@" in text:
        raise argparse.ArgumentTypeError(
            "holds a user or password, and every user of this host can read a command line: leave it out, and write"
            " username and password_file into the policy"
        )
    # As Docker takes what has no scheme. Without a port it may be any word.
    return _url(f"http://{text}" if re.fullmatch(r"[\w.-]+:[0-9]+", text) else text)


def _url(text: str) -> Any:
    """What may be a password is not repeated."""
    try:
        url = importlib.import_module("agent.values.policy").UpstreamUrl.parse(text).url
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if url is None:
        raise argparse.ArgumentTypeError("is empty")
    return url

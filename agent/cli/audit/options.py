"""What may follow `audit`: the options of the listing of records, the questions, and theirs.

Not known here: what answers a question (`command.py`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from agent.cli.help import PROG, needs, sentence
from agent.cli.options import common
from agent.values.events import Event

# Of the listing, by option: where its value is. Empty, 0 or None: it was not given.
OPTIONS: Final = {
    **{
        f"--{name}": name for name in ("since", "until", "event", "network", "upstream", "by", "boot", "target", "last")
    },
    "--pass": "pass_id",
    "--follow": "follow",
}


class Question(NamedTuple):
    """A question as its help describes it. `takes`: what it has in common with the listing of records."""

    text: str
    example: str
    options: Callable[[argparse.ArgumentParser], None]
    takes: frozenset[str] = frozenset()
    reads_the_log: bool = True


def arguments(parser: argparse.ArgumentParser) -> None:
    _listing(parser)
    parts = parser.add_subparsers(dest="question", metavar="QUESTION", title="questions")
    for name, question in QUESTIONS.items():
        own = parts.add_parser(
            name,
            help=question.text,
            description=f"{sentence(question.text)}\n\n{needs(is_root=question.reads_the_log)}",
            epilog=f"example:\n  {'sudo ' if question.reads_the_log else ''}{PROG} audit {question.example}",
        )
        question.options(own)
        common(own, argparse.SUPPRESS, ["--policy"])


def _listing(parser: argparse.ArgumentParser) -> None:
    _stretch(parser, "records", None)
    parser.add_argument(
        "--event",
        action="append",
        default=[],
        choices=[event.value for event in Event],
        metavar="NAME",
        help="only this event, such as docker-restarted; may be repeated",
    )
    parser.add_argument("--network", default="", metavar="NAME", help="only records about this network")
    parser.add_argument("--upstream", default="", metavar="NAME", help="only records about this upstream")
    parser.add_argument("--by", default="", metavar="NAME", help="only what this user, uid or signal caused")
    parser.add_argument("--pass", default="", dest="pass_id", metavar="ID", help="only what this pass did")
    parser.add_argument(
        "--boot",
        default="",
        metavar="ID",
        help="only this boot: its id, or the start of it; 0 is this boot, -1 the last",
    )
    parser.add_argument(
        "--target", default="", metavar="FILE", help="only records about this file, such as daemon.json"
    )
    parser.add_argument("--last", type=_count, default=0, metavar="N", help="only the last N")
    parser.add_argument("--follow", "-f", action="store_true", help="also print new records as they come, until Ctrl-C")


def _stretch(parser: argparse.ArgumentParser, about: str, default: str | None = argparse.SUPPRESS) -> None:
    """`--since` and `--until`. Of a question they have no default: they may stand before its word as well."""
    parser.add_argument(
        "--since",
        type=_moment,
        default=default,
        metavar="TIME",
        help=f'only {about} from this time on: "14:00", "yesterday 9:30", "2h ago", "2026-03-01T09:12:04Z"',
    )
    parser.add_argument("--until", type=_moment, default=default, metavar="TIME", help=f"only {about} before this time")


def _at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "time", nargs="+", metavar="TIME", help='such as "14:00", "yesterday 9:30", "2h ago", "2026-03-01T09:12:04Z"'
    )


def _ran(parser: argparse.ArgumentParser) -> None:
    _stretch(parser, "what it ran with")
    parser.add_argument("--network", default=argparse.SUPPRESS, metavar="NAME", help="only in this network")
    parser.add_argument(
        "--upstream", default=argparse.SUPPRESS, metavar="NAME", help='only with this upstream, such as "direct"'
    )


def _outages(parser: argparse.ArgumentParser) -> None:
    _stretch(parser, "outages that lasted")
    parser.add_argument("--network", default=argparse.SUPPRESS, metavar="NAME", help="only those in this network")


def _who(parser: argparse.ArgumentParser) -> None:
    _stretch(parser, "orders")
    parser.add_argument(
        "--by", default=argparse.SUPPRESS, metavar="NAME", help="only orders by this user, uid or signal"
    )


def _report(parser: argparse.ArgumentParser) -> None:
    _stretch(parser, "what happened")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="write the page to this new file, readable only by you, or by root with sudo; - is stdout",
    )
    parser.add_argument(
        "--full", action="store_true", help="also where the laptop was: SSIDs, addresses, what a portal said"
    )


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anchor",
        action="append",
        default=[],
        type=_anchor,
        metavar="SEQ:HASH",
        help="compare with what you kept elsewhere: `end` from an earlier run, or DPA_AUDIT_SEQ and DPA_AUDIT_HASH of "
        "a line on a log server; may be repeated",
    )


def _schema(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


QUESTIONS: Final = {
    "at": Question("what was true at a time, and which records say so", "at yesterday 14:00", _at),
    "ran": Question(
        "what Docker ran with, from when to when, in which network, and through which upstream",
        "ran --since monday",
        _ran,
        frozenset({"--since", "--until", "--network", "--upstream"}),
    ),
    "outages": Question(
        "every time that Docker reached no registry: from, to, how long, why",
        "outages --network office",
        _outages,
        frozenset({"--since", "--until", "--network"}),
    ),
    "who": Question(
        "what people ordered, and what came of it", "who --by alice", _who, frozenset({"--since", "--until", "--by"})
    ),
    "report": Question(
        "a period as one page, to keep, print or show",
        "report -o report.html",
        _report,
        frozenset({"--since", "--until"}),
    ),
    "verify": Question("find records that were changed, inserted, removed or cut off", "verify", _verify),
    "schema": Question("the JSON Schema of a record", "schema", _schema, reads_the_log=False),
}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of records, such as 20')
    return int(text)


def _moment(text: str) -> dt.datetime:
    """Imported only now, as `--help` needs none."""
    read: Callable[[str], dt.datetime] = importlib.import_module("agent.cli.audit.when").a_moment
    return read(text)


def _anchor(text: str) -> Any:
    return importlib.import_module("agent.cli.audit.verifying").anchor(text)

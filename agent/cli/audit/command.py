"""`audit`: the audit log, filtered and readable; and the questions that an auditor has, each a word after it."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Final, NamedTuple

from agent.cli.audit import at, contract, listing, outages, ran, report, verifying, who
from agent.cli.misused import Misused
from agent.cli.words import common_options
from agent.values.errors import AgentError
from agent.values.paths import Paths


class Part(NamedTuple):
    """A question. `takes`: what it has in common with the listing of records."""

    module: ModuleType
    text: str
    takes: frozenset[str] = frozenset()


PARTS: Final = {
    "at": Part(at, "what was so at a time, and which records say so"),
    "ran": Part(
        ran,
        "what Docker ran with, from when to when, and in which network",
        frozenset({"--since", "--until", "--network", "--upstream"}),
    ),
    "outages": Part(
        outages,
        "every time that Docker reached no registry: from, to, how long, why",
        frozenset({"--since", "--until", "--network"}),
    ),
    "who": Part(who, "what people asked for, and what came of it", frozenset({"--since", "--until", "--by"})),
    "report": Part(
        report, "a stretch of time as one page, to be kept, printed or shown", frozenset({"--since", "--until"})
    ),
    "verify": Part(verifying, "find records that were changed, removed or cut off"),
    "schema": Part(contract, "the JSON Schema of a record"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    listing.arguments(parser)
    parts = parser.add_subparsers(dest="what", metavar="QUESTION", title="questions")
    for name, part in PARTS.items():
        own = parts.add_parser(name, help=part.text, description=part.text)
        common_options(own, argparse.SUPPRESS)
        part.module.arguments(own)


def run(args: argparse.Namespace, paths: Paths) -> int:
    part = PARTS[args.what] if args.what else Part(listing, "", frozenset(listing.OPTIONS))
    for option, name in listing.OPTIONS.items():
        if getattr(args, name, None) and option not in part.takes:
            raise Misused(f"audit {args.what} has no {option}: leave it out")
    try:
        status: int = part.module.run(args, paths)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AgentError(
            str(error.filename or paths.audit_log), f"cannot be read ({error.strerror})", "The log belongs to root"
        ) from error
    return status

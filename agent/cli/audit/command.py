"""`audit`: the audit log, filtered and readable; and the questions that an auditor has, each a word after it."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Final

from agent.cli.audit import at, contract, listing, outages, report, verifying, who
from agent.cli.words import common_options
from agent.values.errors import AgentError
from agent.values.paths import Paths

PARTS: Final[dict[str, tuple[ModuleType, str]]] = {
    "at": (at, "what was so at a time, and which records say so"),
    "outages": (outages, "every time that Docker reached no registry: from, to, how long, why"),
    "who": (who, "what people asked for, and what came of it"),
    "report": (report, "a stretch of time as one page, to be kept, printed or shown"),
    "verify": (verifying, "find records that were changed, removed or cut off"),
    "schema": (contract, "the JSON Schema of a record"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    listing.arguments(parser)
    parts = parser.add_subparsers(dest="what", metavar="QUESTION", title="questions")
    for name, (part, text) in PARTS.items():
        own = parts.add_parser(name, help=text, description=text)
        common_options(own, argparse.SUPPRESS)
        part.arguments(own)


def run(args: argparse.Namespace, paths: Paths) -> int:
    part: ModuleType = PARTS[args.what][0] if args.what else listing
    try:
        status: int = part.run(args, paths)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AgentError(
            str(error.filename or paths.audit_log), f"cannot be read ({error.strerror})", "The log belongs to root"
        ) from error
    return status

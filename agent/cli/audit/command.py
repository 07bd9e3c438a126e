"""`audit`: the audit log, filtered and readable; and the questions that an auditor has, each a word after it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from agent.cli.audit import at, contract, listing, outages, ran, report, verifying, who
from agent.cli.audit.options import OPTIONS, QUESTIONS
from agent.cli.help import PROG
from agent.cli.misused import Misused
from agent.values.errors import AgentError
from agent.values.paths import Paths

ANSWERED_BY: Final[Mapping[str, ModuleType]] = {
    "at": at,
    "ran": ran,
    "outages": outages,
    "who": who,
    "report": report,
    "verify": verifying,
    "schema": contract,
}


def run(args: argparse.Namespace, paths: Paths) -> int:
    takes = QUESTIONS[args.question].takes if args.question else OPTIONS.keys()
    for option, name in OPTIONS.items():
        if getattr(args, name, None) and option not in takes:
            asked = f"{PROG} audit {args.question}"
            raise Misused(f"{asked}: no such option here: {option}; leave it out. See: {asked} --help")
    answering = ANSWERED_BY[args.question] if args.question else listing
    try:
        status: int = answering.run(args, paths)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = str(error.filename or paths.audit_log)
        remedy = f"Try: sudo {PROG} audit" if isinstance(error, PermissionError) else f"See: ls -ld {where}"
        raise AgentError(where, f"cannot be read ({error.strerror})", remedy) from error
    return status

"""`audit`: the audit log, filtered and readable. `audit verify` checks that it was not changed.

`audit schema` prints the contract with readers: the JSON Schema of a record.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.audit import system_journal
from agent.audit.chain import Entry
from agent.audit.facts import plain
from agent.audit.older import facts_of
from agent.audit.read import Filter, Legible, moment, moment_of, records
from agent.audit.verify import Verification, verify
from agent.cli.printing import complain, exact_json, page, print_json, print_json_line, say
from agent.values.errors import AgentError
from agent.values.events import LONGEST, Event, sentence
from agent.values.paths import Paths
from agent.values.secret import escaped


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        choices=("verify", "schema"),
        help="verify: find records that were changed, removed or cut off; schema: the JSON Schema of a record",
    )
    parser.add_argument(
        "--event",
        action="append",
        default=[],
        choices=[event.value for event in Event],
        metavar="NAME",
        help="only this event, such as docker-restarted; may be repeated",
    )
    parser.add_argument("--network", default="", metavar="NAME", help="only records about this network")
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help='only records after this: "2h" ago, or 2026-03-01T09:12:04Z'
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="only records before this")
    parser.add_argument("--last", type=_count, metavar="N", help="only the last N")


def run(args: argparse.Namespace, paths: Paths) -> int:
    try:
        if args.what == "verify":
            return _verify(args, paths)
        if args.what == "schema":
            from agent.audit.schema import schema  # noqa: PLC0415 - no other command needs what it imports

            exact_json(schema())  # a constant: nothing in it has to be cut or redacted
            return 0
        return _show(args, paths.audit_log)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AgentError(
            str(error.filename or paths.audit_log), f"cannot be read ({error.strerror})", "The log belongs to root"
        ) from error


def _moment(text: str) -> dt.datetime:
    try:
        return moment(text, dt.datetime.now(dt.UTC))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of records')
    return int(text)


def _show(args: argparse.Namespace, path: Path) -> int:
    which = Filter(frozenset(args.event), args.network, args.since, args.until)
    illegible = 0

    def legible() -> Iterator[Legible]:
        nonlocal illegible
        for found in records(path, which):
            if isinstance(found, Legible):
                yield found
            else:
                illegible += 1

    shown = 0
    for found in deque(legible(), args.last) if args.last else legible():
        shown += 1
        if args.json:
            print_json_line(found.line)
        else:
            page(readable(found.entry))
    if illegible:
        complain(f"{path}: {illegible} lines are not records. See: docker-proxy-agent audit verify")
    if not shown:
        complain(f"{path}: no matching records")
    return 0


def readable(entry: Entry) -> str:
    """One record, in the reader's own time. On a terminal it is folded."""
    when = moment_of(entry)
    local = entry.ts if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
    try:
        said = sentence(Event(entry.event), facts_of(entry))
    except ValueError:  # written by a newer agent
        said = escaped(msgspec.json.encode(plain(entry.facts)).decode(), LONGEST)
    return f"{escaped(local)}  {escaped(entry.event):<17} {said}"


def _verify(args: argparse.Namespace, paths: Paths) -> int:
    # Below another root nothing goes to the journal.
    found = verify(paths.audit_log, paths.state, system_journal.ask(paths.layout.user) if paths.is_real else None)
    if args.json:
        print_json(plain(found), indent=None)
    else:
        say(*_report(found))
    return 0 if found.is_whole else 1


def _report(found: Verification) -> list[str]:
    kept = f"{found.records} records, {found.first} to {found.last}" if found.records else "no records"
    lines = [f"whole: {kept}"] if found.broken is None else [f"broken: {found.broken}", f"  found    {kept}"]
    lines += [f"  anchor   {compared}" for compared in found.compared]
    lines += [f"  note     {note}" for note in found.notes]
    return lines

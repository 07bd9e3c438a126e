"""`audit`: the records that match, one a line; with `--follow` also those that come."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.audit.chain import Entry
from agent.audit.facts import plain
from agent.audit.older import facts_of
from agent.audit.read import Filter, Illegible, Legible, Person, boots, followed, moment_of, records
from agent.cli.audit import when
from agent.cli.printing import Colour, complain, entry, print_json_line
from agent.clients.accounts import NAME_SERVICE, NamesUnknown
from agent.system.passwd import login_named
from agent.system.process_start import boot_id
from agent.values.errors import AgentError
from agent.values.events import Event, Severity
from agent.values.paths import Paths
from agent.values.secret import escaped
from agent.values.sentences import LONGEST, sentence

_LOOK_AGAIN_S: Final = 0.5
_COLOURS: Final = {
    Severity.ERROR.value: Colour.RED,
    Severity.WARNING.value: Colour.YELLOW,
    Severity.NOTICE.value: Colour.BOLD,
}
_BEFORE: Final = 10  # records that `--follow` shows first, as `tail` and `journalctl --follow` do


def run(args: argparse.Namespace, paths: Paths) -> int:
    which = _filter(args, paths)
    if args.follow:
        return _follow(args, followed(paths.audit_log, which))
    illegible = 0

    def legible() -> Iterator[Legible]:
        nonlocal illegible
        for found in records(paths.audit_log, which):
            if isinstance(found, Legible):
                yield found
            else:
                illegible += 1

    shown = _show(args, deque(legible(), args.last) if args.last else legible())
    if illegible:
        complain(f"{paths.audit_log}: {illegible} lines are not valid records. See: docker-proxy-agent audit verify")
    if not shown:
        complain(f"{paths.audit_log}: no matching records")
    return 0


def _show(args: argparse.Namespace, found: Iterable[Legible]) -> int:
    """How many there were."""
    shown = 0
    for one in found:
        shown += 1
        if args.json:
            print_json_line(one.line)
        else:
            entry(*_told(one.entry), _COLOURS.get(one.entry.severity, Colour.PLAIN))
    return shown


def _follow(args: argparse.Namespace, found: Iterator[Legible | Illegible | None]) -> int:
    """Until it is interrupted."""
    most = args.last or (None if args.since else _BEFORE)
    _show(args, deque((one for one in iter(found.__next__, None) if isinstance(one, Legible)), most))
    while True:
        sys.stdout.flush()
        time.sleep(_LOOK_AGAIN_S)
        _show(args, (one for one in iter(found.__next__, None) if isinstance(one, Legible)))


def _filter(args: argparse.Namespace, paths: Paths) -> Filter:
    return Filter(
        events=frozenset(args.event),
        network=args.network,
        upstream=args.upstream,
        target=args.target,
        by=person(args.by, paths) if args.by else None,
        pass_id=args.pass_id,
        boot=_boot(args.boot, paths),
        since=args.since,
        until=args.until,
    )


def _boot(named: str, paths: Paths) -> str:
    """Its id. `0` and `-1` count as they do for journalctl."""
    if not named.removeprefix("-").isdecimal() or len(named) > len("-999"):
        return named
    known = boots(paths.audit_log)
    known += [] if boot_id() in known[-1:] else [boot_id()]
    back = -int(named)
    if not 0 <= back < len(known):
        raise AgentError(f"--boot {named}", f"the log has records of {len(known)} boots", f"Use 0 to -{len(known) - 1}")
    return known[-1 - back]


def person(named: str, paths: Paths) -> Person:
    """Who is meant: a user, a uid, or a way on which orders come, such as `signal`."""
    if named.isdecimal():
        return Person(named, int(named))
    if paths.is_real:
        try:
            login = NAME_SERVICE.login(named)
        except NamesUnknown:  # records also have the name that sudo claims
            login = None
    else:
        login = login_named(named, paths)
    return Person(named, login.uid if login else None)


def readable(record: Entry) -> str:
    """One record as a line, in the reader's own time."""
    at, event, said = _told(record)
    return f"{escaped(at)}  {escaped(event):<17} {said}"


def _told(record: Entry) -> tuple[str, str, str]:
    """When, what, and a sentence."""
    written = moment_of(record)
    local = record.ts if written is None else when.local(written)
    try:
        said = sentence(Event(record.event), facts_of(record))
    except ValueError:  # written by a newer agent
        said = escaped(msgspec.json.encode(plain(record.facts)).decode(), LONGEST)
    return local, record.event, said

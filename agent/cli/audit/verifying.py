"""`audit verify`: whether the log is as it was written. Exits 1 if it is not."""

from __future__ import annotations

import argparse
import re
from typing import Final

from agent.audit import system_journal
from agent.audit.chain import Anchor
from agent.audit.facts import plain
from agent.audit.verify import Source, Verification, verify
from agent.cli.printing import page, print_json
from agent.values.paths import Paths

_SEQ_AND_HASH: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def anchor(text: str) -> Anchor:
    found = _SEQ_AND_HASH.fullmatch(text.strip())
    if found is None:
        expected = "is not the number of a record, a colon and its hash of 64 digits, as `audit verify` prints its end"
        raise argparse.ArgumentTypeError(f'"{text}" {expected}')
    return Anchor(int(found[1]), found[2])


def run(args: argparse.Namespace, paths: Paths) -> int:
    # Below another root nothing goes to the journal.
    in_journal = system_journal.ask(paths.layout.user) if paths.is_real else None
    found = verify(paths.audit_log, paths.state, in_journal, args.anchor)
    if args.json:
        print_json({**plain_of(found), "root_can": what_root_can(found)}, indent=None)
    else:
        page(*_report(found))
    return 0 if found.is_whole else 1


def plain_of(found: Verification) -> dict[str, object]:
    shown = plain(found)
    return {**shown} if isinstance(shown, dict) else {}


def _report(found: Verification) -> list[str]:
    kept = f"{found.records} records, {found.first} to {found.last}" if found.records else "no records"
    lines = [f"altered: {found.altered}"] if found.altered else []
    lines += [f"incomplete: {one}" for one in found.missing]
    lines = [*lines, f"  found    {kept}"] if lines else [f"whole: {kept}"]
    lines += [f"  anchor   {compared}" for compared in found.compared]
    lines += [f"  note     {note}" for note in found.notes]
    if found.end is not None:
        lines.append(f"  end      {found.end.seq}:{found.end.hash}")
    return [*lines, f"  root     {what_root_can(found)}"]


def what_root_can(found: Verification) -> str:
    """What who is root can hide from this check, and what not."""
    if found.altered is not None:
        return f"can have changed anything here: the log is not as it was written from record {found.altered.seq} on"
    of = {compared.source: compared.newest for compared in found.compared if compared.anchors}
    # A hash is made over the record before, so a gap ends what an anchor speaks for.
    since = max([found.first or 1, *(one.last + 1 for one in found.missing if one.last < (found.last or 0))])
    missing = "" if not found.missing else ". No anchor covers what is missing"
    if of.get(Source.GIVEN, 0) >= since:
        return (
            f"can have changed nothing from record {since} to {of[Source.GIVEN]} since you noted that anchor; before"
            f" you noted it, and after record {of[Source.GIVEN]}, anything. An anchor that is read from this log today"
            f" proves nothing about before{missing}"
        )
    if of.get(Source.JOURNAL, 0) >= since:
        return (
            f"can have changed nothing from record {since} to {of[Source.JOURNAL]} without rewriting the journal, too."
            f" An anchor that you keep on another machine proves more: audit verify --anchor{missing}"
        )
    return (
        "can have rewritten this log, and nothing on this machine would show it. An anchor that you noted before,"
        f" and kept on another machine, would: audit verify --anchor{missing}"
    )

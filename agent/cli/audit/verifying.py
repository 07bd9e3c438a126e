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


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anchor",
        action="append",
        default=[],
        type=_anchor,
        metavar="SEQ:HASH",
        help="compare with what you kept elsewhere: `end` of an earlier time, or DPA_AUDIT_SEQ and DPA_AUDIT_HASH of "
        "a line on a log server; may be repeated",
    )


def _anchor(text: str) -> Anchor:
    found = _SEQ_AND_HASH.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not the number of a record, a colon and its hash of 64 digits')
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
    lines = [f"whole: {kept}"] if found.broken is None else [f"broken: {found.broken}", f"  found    {kept}"]
    lines += [f"  anchor   {compared}" for compared in found.compared]
    lines += [f"  note     {note}" for note in found.notes]
    if found.end is not None:
        lines.append(f"  end      {found.end.seq}:{found.end.hash}")
    return [*lines, f"  root     {what_root_can(found)}"]


def what_root_can(found: Verification) -> str:
    """What who is root can hide from this check, and what not."""
    of = {compared.source: compared.newest for compared in found.compared if compared.anchors}
    if Source.GIVEN in of:
        return (
            f"can have hidden nothing up to record {of[Source.GIVEN]}, whose anchor you gave; only what came after it"
        )
    if Source.JOURNAL in of:
        return (
            f"can have hidden nothing up to record {of[Source.JOURNAL]} without rewriting the journal, too. An anchor"
            " that is kept elsewhere says more: --anchor"
        )
    return "can have written all of this anew: only an anchor that is kept elsewhere says otherwise: --anchor"

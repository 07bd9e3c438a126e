"""`audit verify`: whether the log is as it was written. Exits 1 if it is not."""

from __future__ import annotations

import argparse

from agent.audit import system_journal
from agent.audit.facts import plain
from agent.audit.verify import Source, Verification, verify
from agent.cli.printing import page, print_json
from agent.values.paths import Paths


def arguments(_parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, paths: Paths) -> int:
    # Below another root nothing goes to the journal.
    found = verify(paths.audit_log, paths.state, system_journal.ask(paths.layout.user) if paths.is_real else None)
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
    return [*lines, f"  root     {what_root_can(found)}"]


def what_root_can(found: Verification) -> str:
    """What who is root can hide from this check, and what not."""
    anchors = sum(compared.anchors for compared in found.compared if compared.source is Source.JOURNAL)
    if not anchors:
        return (
            "can write all of this anew, and nobody here would notice: no anchor in the journal was compared. What a"
            " log server has stays (docs/audit.md)"
        )
    return (
        "can hide nothing up to the journal's newest anchor without rewriting the journal, too; what came after it can"
        " be cut off. What a log server has stays (docs/audit.md)"
    )

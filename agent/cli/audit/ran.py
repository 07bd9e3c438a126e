"""`audit ran`: what Docker ran with, from when to when, where, through which upstream, and who started it so."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.audit.account import Account
from agent.audit.heads import heads
from agent.audit.log import utc_now
from agent.audit.ran import DOWN, Ran, RanWith
from agent.cli.audit import when
from agent.cli.audit.shown import RanShown
from agent.cli.printing import page, print_json
from agent.service.status_file import is_agent_running
from agent.values.paths import Paths
from agent.values.policy import OFFLINE_NAME


def run(args: argparse.Namespace, paths: Paths) -> int:
    now = utc_now()
    shown, ran_s, unknown_s = 0, 0.0, 0.0
    rows = [*_rows(paths.audit_log, agent_runs=is_agent_running(paths.status))]
    dockers = {row.about for row in rows}
    for row in rows:
        begin, end = max(row.begin, args.since or row.begin), min(row.end or now, args.until or row.end or now)
        if begin >= end or (args.network and row.network not in (args.network, None)):
            continue
        is_asked_for = not args.upstream or row.is_with(args.upstream)
        is_unknown = row.runs is None or (args.network != "" and row.network is None)
        is_unknown |= args.upstream != "" and row.behind is None and not is_asked_for
        if is_unknown:
            unknown_s += (end - begin).total_seconds()
        if (is_unknown and (args.network or args.upstream)) or not (is_unknown or is_asked_for):
            continue
        shown += 1
        ran_s += 0.0 if is_unknown else (end - begin).total_seconds()
        if args.json:
            print_json(msgspec.to_builtins(_shown(row)), indent=None)
        else:
            page(_line(row, begin, end, is_now=row.end is None and end == now, is_one_of_several=len(dockers) > 1))
    if not args.json:
        page(_together(shown, ran_s, unknown_s))
    return 0


def _rows(path: Path, *, agent_runs: bool) -> Iterator[Ran]:
    account, ran = Account(), RanWith()
    for head in heads(path):
        ran.note(head)
        ran.take(account.take(head))
    ran.take(account.now(agent_runs=agent_runs))
    return ran.rows()


def _line(row: Ran, begin: dt.datetime, end: dt.datetime, *, is_now: bool, is_one_of_several: bool) -> str:
    until = "now" if is_now else when.local(end)
    runs = row.runs or f"not known: {row.why_not}"
    name = f" ({row.name})" if row.name else ""
    where = f" in {row.network}" if row.network else " in an unknown network" if row.runs else ""
    where = f", {OFFLINE_NAME}" if row.network == OFFLINE_NAME else where
    of = f" [{row.about}]" if is_one_of_several else ""
    verb = "stopped" if row.runs == DOWN else "started"
    by = f", {verb} by {'the agent' if row.cause == 'agent' else row.cause}" if row.cause else ""
    lasted = when.length((end - begin).total_seconds())
    return f"{when.local(begin)} to {until}, {lasted}: {runs}{name}{where}{by}{of} (record {row.seq})"


def _together(shown: int, ran_s: float, unknown_s: float) -> str:
    unknown = f"; {when.length(unknown_s)} are not known" if unknown_s else ""
    stretches = "1 period" if shown == 1 else f"{shown} periods"
    return f"{stretches}, {when.length(ran_s)} in all{unknown}" if shown else f"never, as far as is known{unknown}"


def _shown(row: Ran) -> RanShown:
    return RanShown(
        begin=when.utc(row.begin) or "",
        end=when.utc(row.end),
        runs=row.runs,
        upstream=row.upstream,
        behind=row.behind,
        network=row.network,
        why_not=row.why_not,
        cause=row.cause,
        about=row.about,
        record=row.seq,
    )

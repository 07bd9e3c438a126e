"""`audit outages`: every time that Docker reached no registry, from the record of its begin to that of its end."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.audit.account import Account, is_within
from agent.audit.heads import heads
from agent.audit.spans import Break, Outage, Told
from agent.cli.audit import when
from agent.cli.audit.shown import OutageShown
from agent.cli.printing import complain, page, print_json
from agent.one_pass.screen import line
from agent.service.status_file import is_agent_running
from agent.values.paths import Paths


def run(args: argparse.Namespace, paths: Paths) -> int:
    number, lasted_s, unknown = 0, 0.0, 0
    for told in _told(paths.audit_log, agent_runs=is_agent_running(paths.status)):
        if not is_within(told, args.since, args.until):
            continue
        if isinstance(told, Break):
            complain(f"{told.what}, says record {told.seq} of {when.local(told.at)}")
        elif isinstance(told, Outage) and args.network in ("", told.network):
            number, lasted_s, unknown = number + 1, lasted_s + (told.lasted_s or 0), unknown + (told.lasted_s is None)
            if args.json:
                print_json(msgspec.to_builtins(_shown(told)), indent=None)
            else:
                page(*_lines(told))
    if not args.json:
        page(_together(number, lasted_s, unknown))
    return 0


def _told(path: Path, *, agent_runs: bool) -> Iterator[Told]:
    account = Account()
    for head in heads(path):
        yield from account.take(head)
    yield from account.now(agent_runs=agent_runs)


def _lines(one: Outage) -> Iterator[str]:
    yield f"{when.local(one.begin)}  {_how_long(one)}"
    where = f" in {one.network}" if one.network else ""
    way = f" via {one.upstream}" if one.upstream else ""
    yield line("docker", f"reached no registry{where}{way}")
    yield line("verdicts", "; ".join(map(_judged, one.verdicts)) or "none")
    yield line("why", one.why or one.because)
    if one.ended_by or one.ended_because:
        yield line("end", one.ended_by or one.ended_because)
    seqs = [str(seq) for seq in (one.seq, one.end_seq) if seq]
    yield line("records", ", ".join(seqs))


def _how_long(one: Outage) -> str:
    if one.end is not None:
        lasted = when.length(one.lasted_s) if one.lasted_s is not None else "of unknown length"
        return f"to {when.local(one.end)}: {lasted}"
    if one.seen_until is not None:
        least = when.length((one.seen_until - one.begin).total_seconds())
        return f"its end was not seen: at least {least}"
    return "ongoing when the log ends"


def _judged(verdict: object) -> str:
    if not isinstance(verdict, dict):
        return ""
    evidence = f" [{verdict['evidence']}]" if verdict.get("evidence") else ""
    return f"{verdict.get('upstream')} {verdict.get('verdict')}{evidence}"


def _together(number: int, lasted_s: float, unknown: int) -> str:
    if not number:
        return "no outages"
    if number == unknown:
        lasted = "of unknown length"
    else:
        lasted = f"{when.length(lasted_s)} in all" + (f", and {unknown} of unknown length" if unknown else "")
    return f"{'1 outage' if number == 1 else f'{number} outages'}: {lasted}"


def _shown(one: Outage) -> OutageShown:
    return OutageShown(
        begin=when.utc(one.begin) or "",
        end=when.utc(one.end),
        seen_until=when.utc(one.seen_until),
        lasted_s=one.lasted_s,
        network=one.network,
        upstream=one.upstream,
        because=one.because,
        why=one.why,
        verdicts=one.verdicts,
        ended_because=one.ended_because,
        ended_by=one.ended_by,
        records=tuple(seq for seq in (one.seq, one.end_seq) if seq),
    )

"""`audit report -o FILE`: a period as one page, to keep, print or show."""

from __future__ import annotations

import argparse
import datetime as dt
import os
from pathlib import Path
from typing import Final

from agent import __version__
from agent.audit import files, system_journal
from agent.audit.chain import Entry
from agent.audit.heads import heads
from agent.audit.log import utc_now
from agent.audit.read import moment_of
from agent.audit.report.page import page
from agent.audit.report.tell import Asked, report
from agent.audit.report.values import Chain
from agent.audit.verify import Verification, verify
from agent.cli.audit import when
from agent.cli.audit.verifying import what_root_can
from agent.cli.misused import Misused
from agent.cli.printing import complain, exact_bytes
from agent.cli.session import private_file
from agent.service.status_file import is_agent_running
from agent.system.new_file import check_new, write_new
from agent.values.errors import AgentError
from agent.values.paths import Paths

STDOUT: Final = Path("-")


def run(args: argparse.Namespace, paths: Paths) -> int:
    if args.json:
        raise Misused("docker-proxy-agent audit report has no JSON output: leave --json out, or use audit --json")
    if args.output != STDOUT:
        check_new(args.output)  # now, for a long log takes its time
    now = utc_now()
    until = now if args.until is None else min(args.until, now)
    if args.since is not None and args.since >= until:
        lies = f"--since {when.local(args.since)} is not before {when.local(until)}"
        raise AgentError("audit report", lies, "Give an earlier --since, or a later --until")
    found = verify(paths.audit_log, paths.state, system_journal.ask(paths.layout.user) if paths.is_real else None)
    if not found.records:
        raise AgentError(str(paths.audit_log), "has no records yet", "The first pass will write some")
    newest = files.newest(paths.audit_log)
    is_running = is_agent_running(paths.status)
    shown = report(
        heads(paths.audit_log),
        Asked(
            now=now,
            since=args.since,
            until=until if args.until else None if is_running else _end_of(newest, now),
            is_running=is_running,
            is_full=args.full,
            host=newest.host if newest and newest.host else os.uname().nodename,
            version=__version__,
        ),
        _chain(found),
    )
    text = page(shown).encode()
    if args.output == STDOUT:
        exact_bytes(text)
    else:
        write_new(args.output, text)
        complain(private_file(args.output, "open it in a browser"))
    if not found.is_whole:
        complain(f"{paths.audit_log}: {found.broken}. See: docker-proxy-agent audit verify")
    return 0


def _end_of(newest: Entry | None, now: dt.datetime) -> dt.datetime | None:
    """Of a log that nobody writes to any more: what comes after it is an empty picture."""
    at = None if newest is None else moment_of(newest)
    return None if at is None or at >= now else min(at + dt.timedelta(seconds=1), now)


def _chain(found: Verification) -> Chain:
    kept = f"{found.records} records, {found.first} to {found.last}"
    findings = [f"A record was altered: {found.altered}."] if found.altered else []
    findings += [f"The log is incomplete: {one}." for one in found.missing]
    if findings and not found.altered:
        findings.append("What is there is as it was written.")
    findings = [*findings, f"It has {kept}."] if findings else [f"The log is whole: {kept}."]
    return Chain(
        is_whole=found.is_whole,
        says=" ".join(findings),
        anchors=tuple(map(str, found.compared)),
        notes=(*found.notes, f"root {what_root_can(found)}"),
        last="" if found.end is None else f"{found.end.seq}:{found.end.hash}",
    )

"""`apply`: one pass now.

Exits 0 if it is done, or there is nothing to do, or a restart waits, or the host is offline or behind a portal;
1 if it failed, nothing is reachable, something blocks it, or there is no policy.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from agent.cli.page import done_lines, seen_lines, to_do_lines
from agent.cli.policy_of import loaded
from agent.cli.session import pass_json, print_json, quiet, record_for
from agent.errors import AgentError
from agent.events import Event
from agent.lock import held
from agent.paths import Paths
from agent.policy import Policy
from agent.reconcile import Pass, reconcile
from agent.record import Record
from agent.world import TheWorld


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help="restart Docker if that is due, even if containers run")


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded(args, paths, refuses_unsafe=True).policy
    record = record_for("apply", paths, policy)
    try:
        with held(paths.lock):
            done = _pass(policy, paths, record, is_asked_now=args.now)
    except asyncio.CancelledError:
        print("stopped; nothing is left half done", file=sys.stderr)
        return 130
    if args.json:
        print_json(pass_json(done))
    else:
        print(*_lines(done), sep="\n")
    if record.problem:
        print(f"audit log: {record.problem}", file=sys.stderr)
    return 1 if _is_failed(done) else 0


def _pass(policy: Policy, paths: Paths, record: Record, *, is_asked_now: bool) -> Pass:
    this = TheWorld(paths, policy)
    try:
        this.daemon.sweep()
        return asyncio.run(_told_to_stop_in_good_order(reconcile(policy, this, record, is_asked_now=is_asked_now)))
    except AgentError as error:
        record(Event.TARGET_FAILED, target=error.where, error=str(error))
        raise


async def _told_to_stop_in_good_order(work: Coroutine[Any, Any, Pass]) -> Pass:
    """SIGTERM and a terminal that is closed are answered as ctrl-C is: when nothing is half done."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def _lines(done: Pass) -> list[str]:
    lines = list(seen_lines(done.seen, done.outcome))
    if done.outcome is not None or done.clients:
        lines += done_lines(done)
    return lines if done.outcome is not None or done.clients else [*lines, *to_do_lines(done.seen)]


def _is_failed(done: Pass) -> bool:
    return (
        any(condition.code.is_failure for condition in done.seen.conditions)
        or (done.outcome is not None and done.outcome.is_failed)
        or bool(done.seen.clients and done.seen.clients.failed)
        or any(file.error for file in done.clients)
    )

"""`audit who`: what people asked for, in which words and on which way, and what came of it."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from agent.audit.account import Account, is_within
from agent.audit.heads import heads
from agent.audit.orders import Orders
from agent.audit.spans import Order
from agent.cli.audit import when
from agent.cli.audit.listing import person
from agent.cli.audit.shown import OrderShown
from agent.cli.printing import page, print_json
from agent.one_pass.screen import line
from agent.service.status_file import is_agent_running
from agent.values.paths import Paths


def run(args: argparse.Namespace, paths: Paths) -> int:
    who = person(args.by, paths) if args.by else None
    found = [
        (order, came_of_it)
        for order, came_of_it in orders(paths.audit_log, agent_runs=is_agent_running(paths.status))
        if is_within(order, args.since, args.until) and (who is None or who.is_meant(order.by))
    ]
    if args.json:
        for order, came_of_it in found:
            print_json(msgspec.to_builtins(_shown(order, came_of_it)), indent=None)
        return 0
    for order, came_of_it in found:
        page(f"{when.local(order.at)}  {order.what}, by {order.who} (record {order.seq})")
        if came_of_it:
            page(line("then", "; ".join(came_of_it)))
    if not found:
        page("no orders")
    return 0


def orders(path: Path, *, agent_runs: bool) -> list[tuple[Order, list[str]]]:
    """Each, and in a few words what came of it. OSError if the log cannot be read."""
    account, found = Account(), Orders()
    for head in heads(path):
        found.take(head, [*account.take(head)])
    return [(one.order, one.came_of_it) for one in found.end(account.now(agent_runs=agent_runs))]


def _shown(order: Order, came_of_it: list[str]) -> OrderShown:
    return OrderShown(
        at=when.utc(order.at) or "",
        what=order.what,
        who=order.who,
        by=order.by,
        came_of_it=tuple(came_of_it),
        record=order.seq,
        pass_id=order.pass_id,
    )

"""`audit who`: what people asked for, in which words and on which way, and what came of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import msgspec

from agent.audit.account import Account, is_within
from agent.audit.facts import plain
from agent.audit.heads import Head, heads
from agent.audit.spans import Order
from agent.cli.audit import when
from agent.cli.audit.listing import person
from agent.cli.audit.shown import OrderShown
from agent.cli.printing import page, print_json
from agent.one_pass.screen import line
from agent.values.events import Event, brief
from agent.values.paths import Paths

# What an order brings about; the rest of its pass is on the way there.
_CAME_OF_IT: Final = frozenset(
    {
        Event.UPSTREAM_CHOSEN,
        Event.NO_UPSTREAM,
        Event.DOCKER_RESTARTED,
        Event.RESTART_DEFERRED,
        Event.ROLLED_BACK,
        Event.TARGET_FAILED,
        Event.RESTORED,
        Event.DRIFT_CORRECTED,
        Event.POLICY_REJECTED,
    }
)
_BY_NAME: Final = {event.value: event for event in _CAME_OF_IT}


def arguments(parser: argparse.ArgumentParser) -> None:
    when.stretch(parser, "orders")
    parser.add_argument(
        "--by", default=argparse.SUPPRESS, metavar="NAME", help="only those of this user, uid or signal"
    )


def run(args: argparse.Namespace, paths: Paths) -> int:
    who = person(args.by, paths) if args.by else None
    found = [
        (order, came_of_it)
        for order, came_of_it in orders(paths.audit_log)
        if is_within(order, args.since, args.until) and (who is None or who.is_meant(order.by))
    ]
    if args.json:
        for order, came_of_it in found:
            print_json(msgspec.to_builtins(_shown(order, came_of_it)), indent=None)
        return 0
    for order, came_of_it in found:
        page(f"{when.local(order.at)}  {order.what}, by {order.who} (record {order.seq})")
        if came_of_it:
            page(line("then", ", ".join(came_of_it)))
    if not found:
        page("no orders")
    return 0


def orders(path: Path) -> list[tuple[Order, list[str]]]:
    """Each, and in a few words what came of it. OSError if the log cannot be read."""
    account = Account()
    found: list[tuple[Order, list[str]]] = []
    by_pass: dict[tuple[str, str], list[str]] = {}  # of the passes that somebody asked for
    for head in heads(path):
        this_pass = (head.boot_id, head.pass_id)
        asked = [told for told in account.take(head) if isinstance(told, Order)]
        found += ((order, by_pass.setdefault(this_pass, [])) for order in asked)
        if head.event in _BY_NAME and this_pass in by_pass:
            by_pass[this_pass].append(_few_words(head))
    return found


def _few_words(head: Head) -> str:
    facts = plain(head.facts_of_today())
    return (brief(_BY_NAME[head.event], facts) if isinstance(facts, dict) else "") or head.event


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

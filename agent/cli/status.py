"""`status`: what the running agent sees, chose, did, and waits for. Exits 3 if none runs.

It only reads one file, and that of a relay beside it; with `-v` it also asks systemd and Docker, as a person would.
Without a running agent it shows what the last one knew, and how old that is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from agent import __version__
from agent.cli.misused import Misused
from agent.cli.printing import Colour, complain, exact_bytes, page, print_for_a_bar, print_json, say
from agent.one_pass.picture import State
from agent.service.status_file import Status, StatusFound, read
from agent.service.status_page import ago, lines
from agent.system.files import is_there
from agent.values.paths import Paths

NOT_RUNNING = 3
_COLOURS: Final = {
    State.STEADY: Colour.GREEN,
    State.DEFERRED: Colour.YELLOW,
    State.WAITING: Colour.YELLOW,
    State.FAILED: Colour.RED,
}


def run(args: argparse.Namespace, paths: Paths) -> int:
    if args.format is not None and (args.watch or args.short or args.json or args.verbose):
        raise Misused("--format cannot be combined with --watch, --short, --json and -v: leave them out")
    if args.watch:  # imported only now: what is shown once does without
        status: int = importlib.import_module("agent.cli.watching").watch(args, paths)
        return status
    found = read(paths.status)
    if args.format is not None:
        return _export(found)
    show(found, args, paths)
    return 0 if found is not None and found.is_running else NOT_RUNNING


def _export(found: StatusFound | None) -> int:
    """0 without an agent, too: that is what it tells. Imported only now, as above."""
    metrics = importlib.import_module("agent.service.metrics")
    exact_bytes(metrics.text(found, __version__, dt.datetime.now(dt.UTC)).encode())
    return 0


def show(found: StatusFound | None, args: argparse.Namespace, paths: Paths) -> None:
    if args.short:
        _show_short(found, args, paths)
        return
    status = by_now(found, paths)
    is_running = found is not None and found.is_running
    if not is_running:
        complain(not_running(status, paths))
    if found is not None and status is None:
        complain(unreadable(found))
    if args.json:
        known = msgspec.to_builtins(status) if status is not None else {}
        more, _ = verified(paths) if args.verbose else ({}, ())
        print_json({**known, "running": is_running, **more}, indent=None if args.watch else 2)  # one of many is a line
        return
    if status is not None:
        page(*lines(status, dt.datetime.now(dt.UTC)), first=colour_of(status))
    if args.verbose:
        page(*verified(paths)[1])


def _show_short(found: StatusFound | None, args: argparse.Namespace, paths: Paths) -> None:
    """What is wrong goes into the line: nobody sees the stderr of a bar."""
    shown = importlib.import_module("agent.service.status_line")
    if not args.json:
        say(shown.in_a_line(found))
        return
    status = by_now(found, paths)
    whole = [] if found is not None and found.is_running else [not_running(status, paths)]
    whole += lines(status, dt.datetime.now(dt.UTC)) if status is not None else ()
    print_for_a_bar(shown.in_a_line(found), whole, shown.word_of(found))


def not_running(status: Status | None, paths: Paths) -> str:
    was = f"; this is what the last one knew {_age(status)} ago" if status is not None else ""
    # Its orders are gone after a boot. They are not opened here, which only root may.
    is_relay_lost = is_there(paths.relay_drop_in) and not is_there(paths.relay_orders)
    until_then = (
        ". Until then what uses the relay, as Docker and containers do, reaches nothing" if is_relay_lost else ""
    )
    return f"no agent is running here{was}; to start it: systemctl enable --now docker-proxy-agent{until_then}"


def unreadable(found: StatusFound) -> str:
    remedy = "Restart it: systemctl restart docker-proxy-agent"
    return f"version {found.version} of the agent wrote status.json, which version {__version__} cannot read. {remedy}"


def colour_of(status: Status) -> Colour:
    return _COLOURS.get(status.state, Colour.BOLD)


def by_now(found: StatusFound | None, paths: Paths) -> Status | None:
    """The agent looks at a relay once in a while, and that counts all the time. Imported only now, as above."""
    status = found.status if found is not None else None
    if status is None or status.relay is None:
        return status
    relay = status.relay.saying(importlib.import_module("agent.one_pass.relay_report").state_of(paths))
    return msgspec.structs.replace(status, relay=relay)


def verified(paths: Paths) -> tuple[Mapping[str, Any], Iterable[str]]:
    """Imported only now: `status` alone does without."""
    sights = importlib.import_module("agent.cli.verification").seen_now(paths)
    drawn = importlib.import_module("agent.service.sights_page")
    return drawn.sights_shown(sights), drawn.sights_lines(sights)


def _age(status: Status) -> str:
    return ago(status.at, dt.datetime.now(dt.UTC)) if status.at else "some time"

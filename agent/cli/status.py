"""`status`: what the running agent sees, chose, did, and waits for. Exits 3 if none runs.

It only reads one file, and that of a relay beside it; with `-v` it also asks systemd and Docker, as a person would.
Without a running agent it shows what the last one knew, and how old that is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent import __version__
from agent.cli.printing import complain, page, print_json
from agent.one_pass.picture import RelayShown
from agent.service.status_file import Status, StatusFound, read
from agent.service.status_page import ago, lines
from agent.values.paths import Paths

NOT_RUNNING = 3
_LOOK_AGAIN_S = 0.5


def run(args: argparse.Namespace, paths: Paths) -> int:
    found = read(paths.status)
    _show(found, args, paths)
    while args.watch and found is not None and found.is_running:
        time.sleep(_LOOK_AGAIN_S)
        now = read(paths.status)
        if now is None or not now.is_running or now.status != found.status:
            if not args.json:
                page("")
            _show(now, args, paths)
        found = now
    return 0 if found is not None and found.is_running else NOT_RUNNING


def _show(found: StatusFound | None, args: argparse.Namespace, paths: Paths) -> None:
    is_running = found is not None and found.is_running
    status = found.status if found is not None else None
    if not is_running:
        was = f", and this is what the last one knew {_age(status)} ago" if status is not None else ""
        complain(f"no agent runs here{was}; to start it: systemctl start docker-proxy-agent")
    if status is not None and status.relay is not None:
        status = msgspec.structs.replace(status, relay=_by_now(status.relay, paths))
    if found is not None and status is None:
        complain(f"version {found.version} of the agent wrote status.json, and {__version__} cannot read it")
    if args.json:
        known = msgspec.to_builtins(status) if status is not None else {}
        more, _ = _verified(paths) if args.verbose else ({}, ())
        print_json({**known, "running": is_running, **more}, indent=None if args.watch else 2)  # one of many is a line
        return
    if status is not None:
        page(*lines(status, dt.datetime.now(dt.UTC)))
    if args.verbose:
        page(*_verified(paths)[1])


def _verified(paths: Paths) -> tuple[Mapping[str, Any], Iterable[str]]:
    """Imported only now: `status` alone does without."""
    sights = importlib.import_module("agent.cli.verification").seen_now(paths)
    drawn = importlib.import_module("agent.service.sights_page")
    return drawn.sights_shown(sights), drawn.sights_lines(sights)


def _by_now(relay: RelayShown, paths: Paths) -> RelayShown:
    """The agent looks once in a while, and the relay counts all the time. Imported only now, as above."""
    return relay.saying(importlib.import_module("agent.one_pass.relay_report").state_of(paths))


def _age(status: Status) -> str:
    return ago(status.at, dt.datetime.now(dt.UTC)) if status.at else "some time"

"""`status`: what the running agent sees, chose, did, and waits for. Exits 3 if none runs.

It reads one file and asks nobody. Without an agent it shows what the last one knew, and says how old that is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time

import msgspec

from agent.cli.printing import complain, page, print_json
from agent.service.status_file import Shown, read
from agent.service.status_page import ago, lines
from agent.values.paths import Paths

NOT_RUNNING = 3
_LOOK_AGAIN_S = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="go on, and print it again whenever it changes")


def run(args: argparse.Namespace, paths: Paths) -> int:
    found = read(paths.status)
    _show(found, args)
    while args.watch and found is not None and found.is_running:
        time.sleep(_LOOK_AGAIN_S)
        now = read(paths.status)
        if now is None or not now.is_running or now.status != found.status:
            if not args.json:
                page("")
            _show(now, args)
        found = now
    return 0 if found is not None and found.is_running else NOT_RUNNING


def _show(found: Shown | None, args: argparse.Namespace) -> None:
    if found is None or not found.is_running:
        was = f", and this is what the last one knew {_age(found)} ago" if found is not None else ""
        complain(f"no agent runs here{was}; to start it: systemctl start docker-proxy-agent")
    if args.json:
        known = msgspec.to_builtins(found.status) if found is not None else {}
        is_running = found is not None and found.is_running
        print_json({**known, "running": is_running}, indent=None if args.watch else 2)  # one of many is a line
    elif found is not None:
        page(*lines(found.status, dt.datetime.now(dt.UTC)))


def _age(found: Shown) -> str:
    return ago(found.status.at, dt.datetime.now(dt.UTC)) if found.status.at else "some time"

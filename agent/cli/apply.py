"""`apply`: one pass now.

Exits 0 if it is done, or there is nothing to do, or a restart waits, or the host is offline or behind a portal;
1 if it failed, nothing is reachable, something blocks it, or there is no policy.
"""

from __future__ import annotations

import argparse

from agent.cli.asking import ask_and_print
from agent.cli.session import claimed
from agent.service.requests import Command, Wish
from agent.values.paths import Paths


def run(args: argparse.Namespace, paths: Paths) -> int:
    return ask_and_print(args, paths, Wish(Command.APPLY, is_now=args.now, claimed=claimed()))

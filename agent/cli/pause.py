"""`pause`: write nothing and restart nothing until `resume`."""

from __future__ import annotations

import argparse

from agent.cli.asking import ask_and_print
from agent.cli.session import claimed
from agent.service.requests import Command, Wish
from agent.values.paths import Paths


def run(args: argparse.Namespace, paths: Paths) -> int:
    return ask_and_print(args, paths, Wish(Command.PAUSE, for_s=args.for_s, claimed=claimed()))

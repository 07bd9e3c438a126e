"""`reload`: read the policy and the password files again, and retry what was given up."""

from __future__ import annotations

import argparse

from agent.cli.asking import ask_and_print
from agent.cli.session import claimed
from agent.service.requests import Command, Wish
from agent.values.paths import Paths


def run(args: argparse.Namespace, paths: Paths) -> int:
    return ask_and_print(args, paths, Wish(Command.RELOAD, claimed=claimed()))

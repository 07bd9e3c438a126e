"""`audit schema`: the contract with readers."""

from __future__ import annotations

import argparse
import importlib

from agent.cli.printing import exact_json
from agent.values.paths import Paths


def run(_args: argparse.Namespace, _paths: Paths) -> int:
    schema = importlib.import_module("agent.audit.schema").schema  # no other command needs what it imports
    exact_json(schema())  # a constant: nothing in it has to be cut or redacted
    return 0

"""The policy that a command goes by, and what is said about it on the way."""

from __future__ import annotations

import argparse
import os
import sys

from agent.paths import Paths
from agent.policy_file import Loaded, load, load_safely, owners


def loaded(args: argparse.Namespace, paths: Paths, *, refuses_unsafe: bool) -> Loaded:
    """NoPolicy, or PolicyRefused; what is unwise, or unsafe where that is no error, is said on stderr."""
    reading = load_safely if refuses_unsafe else load
    found = reading(args.policy or paths.policy, owners(paths), os.environ)
    for line in (*found.warnings, *found.unsafe):
        print(f"{found.path}: warning: {line}", file=sys.stderr)
    return found

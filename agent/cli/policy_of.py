"""The policy that a command goes by, and what is said about it on the way."""

from __future__ import annotations

import argparse
import os
import sys

from agent.errors import PolicyRefused
from agent.paths import Paths
from agent.policy_file import Loaded, load


def loaded(args: argparse.Namespace, paths: Paths, *, refuses_unsafe: bool) -> Loaded:
    """NoPolicy, or PolicyRefused; what is unwise, or unsafe where that is no error, is said on stderr."""
    owners = frozenset({0} if paths.is_system else {0, os.geteuid()})
    found = load(args.policy or paths.policy, owners, os.environ)
    if found.unsafe and refuses_unsafe:
        raise PolicyRefused(found.path, found.unsafe)
    for line in (*found.warnings, *found.unsafe):
        print(f"{found.path}: warning: {line}", file=sys.stderr)
    return found

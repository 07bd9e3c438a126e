"""`install`: set up the service, or upgrade it. Exits 0 if it runs, else 1."""

from __future__ import annotations

import argparse
import asyncio

from agent.cli.install.install import check_can, install
from agent.cli.printing import say
from agent.cli.session import quiet
from agent.values.paths import Paths


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    check_can("install", paths)
    asyncio.run(install(paths, say))
    return 0

"""`relay`: the relay's process, which its unit starts.

What is imported here stays in memory for as long as the machine runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent.cli.printing import complain
from agent.probe.pac import ByChild, ByUnit, PacEvaluator
from agent.relay.process import given, listening, relay
from agent.system import heap
from agent.values.paths import Paths

SYSTEM = Paths()


class Options(Protocol):
    """Its options."""

    listen: list[str]


def run(args: Options, paths: Paths) -> int:
    return serve(paths, args.listen)


def serve(paths: Paths = SYSTEM, ends: Sequence[str] = ()) -> int:
    """Run until told to stop. Without `ends`, systemd has handed the sockets over."""
    sockets = listening(ends) if ends else given(os.environ, os.getpid())
    folder = os.environ.get("LOGS_DIRECTORY", "")
    log = Path(folder) if folder else paths.below(paths.layout.relay)
    heap.keep()
    asyncio.run(relay(paths, sockets, evaluator=evaluator(paths, ends), say=complain, log=log / "connections.jsonl"))
    return 0


def evaluator(paths: Paths, ends: Sequence[str]) -> PacEvaluator:
    """Of PACs. Whoever starts the relay with `ends` may have no systemd."""
    return ByUnit(paths.pac_socket) if paths.is_the_systems and not ends else ByChild()

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
    asyncio.run(relay(paths, sockets, complain, log / "connections.jsonl"))
    return 0

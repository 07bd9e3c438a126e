"""`run`: the service, which the unit starts.

What is imported here stays in memory for as long as the machine runs: what only a command needs is not.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
from pathlib import Path
from typing import Protocol

from agent.audit.logs import configure
from agent.clients.homes import Homes
from agent.clients.users import ThisSystem
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.world import Lasting, TheWorld
from agent.probe.guard import is_the_owners
from agent.service.control import listening
from agent.service.service import Service
from agent.service.wakes import HostWakes
from agent.system import heap
from agent.system.lock import held
from agent.system.notify import Notify
from agent.system.policy_file import SYSTEM
from agent.values.errors import AgentError, Locked
from agent.values.paths import Paths


class Options(Protocol):
    """Its options."""

    policy: Path | None
    verbose: int


def run(args: Options, paths: Paths) -> int:
    return serve(paths, args.policy, level=logging.DEBUG if args.verbose else logging.INFO)


def serve(paths: Paths = SYSTEM, policy: Path | None = None, *, level: int = logging.INFO) -> int:
    """Run until told to stop. `policy` defaults to the usual file."""
    configure(level)
    heap.keep()
    try:
        with held(paths.lock):
            asyncio.run(_serve(paths, policy or paths.policy))
    except Locked as error:  # a service does not end by itself, so there is nothing to wait for
        remedy = "One agent at a time. To see what it does: docker-proxy-agent status"
        raise AgentError(error.where, error.what, remedy) from error
    return 0


async def _serve(paths: Paths, policy: Path) -> None:
    loop = asyncio.get_running_loop()
    wakes = HostWakes(functools.partial(is_the_owners, sockets=LocalSockets(ThisSystem(paths.root))))
    world = functools.partial(TheWorld, lasting=Lasting(Homes(watch=wakes.homes)), told=wakes.came_late)
    service = Service(paths, policy, wakes=wakes, notify=Notify(), world=world)
    running = asyncio.ensure_future(service.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    try:
        async with listening(paths.control, service.ask):
            await running
    except asyncio.CancelledError:  # by a signal: leave everything as it is
        return
    finally:
        wakes.close()

"""`run`: the service, which the unit starts."""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import signal

from agent.control import listening
from agent.homes import Homes
from agent.lock import held
from agent.logs import configure
from agent.notify import Notify
from agent.paths import Paths
from agent.probe.guard import is_the_owners
from agent.see.ways import Ways
from agent.service import Service
from agent.sockets import LocalSockets
from agent.users import ThisSystem
from agent.wakes import HostWakes
from agent.world import TheWorld


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace, paths: Paths) -> int:
    configure(logging.DEBUG if args.verbose else logging.INFO)
    with held(paths.lock):
        asyncio.run(_run(args, paths))
    return 0


async def _run(args: argparse.Namespace, paths: Paths) -> None:
    loop = asyncio.get_running_loop()
    wakes = HostWakes(functools.partial(is_the_owners, sockets=LocalSockets(ThisSystem(paths.root))))
    world = functools.partial(TheWorld, homes=Homes(watch=wakes.homes), told=wakes.came_late, ways=Ways())
    service = Service(paths, args.policy or paths.policy, wakes, Notify(), world)
    running = asyncio.ensure_future(service.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    try:
        async with listening(paths.control, service.asked):
            await running
    except asyncio.CancelledError:  # by a signal: everything stays as it is
        return
    finally:
        wakes.close()

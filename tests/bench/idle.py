"""A minute in which nothing happens: what the service costs, and how often it wakes up."""

from __future__ import annotations

import time

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World

from .at_work import at_work, policy, process, rests
from .figures import Counts, counts
from .row import Row, number

IDLE_S = 60.0
# The service says three times in WatchdogSec=60s that it is alive: that is what it was asked for.
ALIVE = 3


def rows(world: World) -> list[Row]:
    with at_work(world, policy(world)) as laptop:
        laptop.plug("home")
        laptop.until(rests, laptop, within=20)
        asks = _minute(laptop)
        probes = sum(" GET /v2/" in request for request in laptop.internet.requests())
    with at_work(world, policy(world, probe='recheck = "0s"\n')) as laptop:
        laptop.plug("home")
        laptop.until(rests, laptop, within=20)
        still = _minute(laptop)
    return [
        Row(
            "Idle for a minute: CPU",
            100 * asks.cpu_s / IDLE_S,
            0.05,
            " % of a core",
            where=f"{asks.cpu_s * 1000:.0f} ms, {asks.waits} wake-ups, {probes} requests to the registry in all; "
            f"without `recheck` {number(100 * still.cpu_s / IDLE_S)} %",
        ),
        Row("Idle for a minute: processes started", float(bool(asks.child_faults)), 0),
        Row("Idle for a minute without `recheck`: wake-ups", still.waits, ALIVE, where="systemd's watchdog is told"),
    ]


def _minute(laptop: Laptop) -> Counts:
    time.sleep(10)  # what follows an arrival is over
    agent = process(laptop)
    before = counts(agent)
    time.sleep(IDLE_S)
    return counts(agent) - before

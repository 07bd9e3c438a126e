"""A minute in which 200 containers come and go: nothing is probed, written or restarted for it, and it costs little."""

from __future__ import annotations

import time

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World

from .at_work import at_work, policy, process, rests
from .figures import counts
from .row import Row

CONTAINERS = 200
STORM_S = 60.0
AT_ONCE = 4
RUN = f"""
seq {CONTAINERS // AT_ONCE} | xargs -P {AT_ONCE} -I N sh -c '
    for i in $(seq {AT_ONCE}); do docker run --rm lab/busybox:latest true; done
' >/run/storm.log 2>&1
"""


def rows(world: World) -> list[Row]:
    # Every probe is then one that the storm has caused.
    with at_work(world, policy(world, probe='recheck = "0s"\n')) as laptop:
        laptop.docker.import_image()
        laptop.plug("home")
        laptop.until(rests, laptop, within=20)
        time.sleep(5)
        agent = process(laptop)
        told = _told(laptop)
        before = counts(agent)
        began = time.monotonic()
        laptop.run("sh", "-euc", RUN, timeout=600)
        took_s = time.monotonic() - began
        cost = counts(agent) - before
        after = _told(laptop)
    extra = sum(now - then for now, then in zip(after, told, strict=True))
    used_s = cost.cpu_s + cost.children_cpu_s
    storm = f"{CONTAINERS} containers come and go"
    return [
        Row(
            f"{storm}: CPU",
            100 * used_s / STORM_S,
            2,
            " % of a core",
            where=f"{used_s * 1000:.0f} ms, {cost.waits} wake-ups; they took {took_s:.0f} s here, the share is of 60 s",
        ),
        Row(f"{storm}: probes, records of writes, restarts", extra, 0),
    ]


def _told(laptop: Laptop) -> tuple[int, int]:
    """How much was asked of the registry, and written down; a restart or a write is a record."""
    return len(laptop.internet.requests()), len(laptop.audit.records())

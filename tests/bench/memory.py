"""Resident memory of the service after a hundred probes and ten roams."""

from __future__ import annotations

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World
from tests.machine.lab.waiting import Seen

from .at_work import answered, at_work, policy, process, rests
from .figures import resident_mb
from .row import Row, number

PROBES = 100
ROAMS = 10


def rows(world: World) -> list[Row]:
    office = world.office.tinyproxy.url
    with at_work(world, policy(world, probe='recheck = "300ms"\n')) as laptop:
        laptop.plug("office")
        laptop.until(rests, laptop, within=20)
        first = resident_mb(process(laptop))
        for roam in range(ROAMS):
            place, https = ("office", office) if roam % 2 else ("home", "")
            laptop.plug(place)
            answered(laptop, https)
        roamed = resident_mb(process(laptop))
        laptop.until(_has_probed, laptop, PROBES, within=120)
        last = resident_mb(process(laptop))
    return [
        Row(
            f"Resident memory of the service after {PROBES} probes and {ROAMS} roams",
            last,
            34,
            " MB",
            where=f"{number(first)} MB after its first choice, {number(roamed)} MB after the roams",
        )
    ]


def _has_probed(laptop: Laptop, probes: int) -> Seen:
    asked = sum(" GET /v2/" in request for request in laptop.internet.requests())
    return Seen(asked >= probes, asked)

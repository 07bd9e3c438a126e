"""Resident memory of the service after a hundred probes and ten roams."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World
from tests.waiting import Seen

from .at_work import UNIT, answered, at_work, policy, process, python, rests
from .figures import resident_mb, status
from .row import Row, number

PROBES = 100
ROAMS = 10
# So many moves in a row are unsteady: before the later ones Docker is restarted, the network must have stood for 40 s.
UNSTEADY_S = 60
BY_MODULE = Path(__file__).with_name("by_module.py")
NAMED = 6  # packages in the row
LEAST = 20 * 1024  # bytes of a folder or package that has a line
LISTED = 30  # modules below the table
# What an agent can do without until it restarts Docker, finishes what a crash left, or is asked by a person.
RARE = (
    "docker.transaction",
    "docker.roll_back",
    "docker.recover",
    "docker.live_restore",
    "docker.validate",
    "one_pass.page",
)


def rows(world: World) -> list[Row]:
    office = world.office.tinyproxy.url
    with at_work(world, policy(world, probe='recheck = "300ms"\n')) as laptop:
        laptop.plug("office")
        laptop.until(rests, laptop, within=20)
        first = resident_mb(process(laptop))
        for roam in range(ROAMS):
            place, https = ("office", office) if roam % 2 else ("home", "")
            laptop.plug(place)
            answered(laptop, https, within=UNSTEADY_S)
        roamed = resident_mb(process(laptop))
        laptop.until(_has_probed, laptop, PROBES, within=120)
        last = resident_mb(process(laptop))
        shares = status(process(laptop))
        bare, imported = (_imports(laptop, modules) for modules in ("asyncio, ssl, json", "agent.cli, agent.cli.run"))
        kept = Counter[str](json.loads(_python(laptop, BY_MODULE.read_text())))
    return [
        Row(
            f"Resident memory of the service after {PROBES} probes and {ROAMS} roams",
            last,
            34,
            " MB",
            f"Python with asyncio, ssl and json {number(bare)} MB",
            where=f"{number(imported)} MB when all is imported, {number(first)} MB after the first choice, "
            f"{number(roamed)} MB after the roams",
            short=f"{_mb(shares['RssFile'])} MB are Python, OpenSSL and libc as they lie on the disk, "
            f"{_mb(shares['RssAnon'])} MB data, most of it code: beside the baseline {_packages(kept)}",
            details=_details(kept),
        )
    ]


def _imports(laptop: Laptop, modules: str) -> float:
    """MB of a Python that does no more than that, with the settings of the unit."""
    said = _python(laptop, f"import {modules}; print(open('/proc/self/status').read())")
    return next(_kb(line.partition(":")[2]) for line in said.splitlines() if line.startswith("VmRSS")) / 1024


def _packages(kept: Counter[str]) -> str:
    """Where it goes, the largest first."""
    packages = _together(kept, lambda name: name.partition(".")[0])
    first = packages.most_common(NAMED)
    left = packages.total() - sum(size for _, size in first)
    return ", ".join(f"{name} {size / 2**20:.2f}" for name, size in [*first, ("all others", left)])


def _details(kept: Counter[str]) -> str:
    """As Markdown: our folders and the packages of others, then the modules that keep most."""
    folders = _together(
        kept, lambda name: "/".join(name.split(".")[:2] if name.startswith("agent.") else name.split(".")[:1])
    )
    total, rare = kept.total() / 2**20, sum(kept[f"agent.{name}"] for name in RARE)
    return "\n".join(
        [
            "## What the modules of the service keep",
            "",
            "When all is imported, in KB, as tracemalloc counts it; beside asyncio, ssl and json, "
            f"{total:.1f} MB together.",
            "",
            "| folder or package | KB |",
            "| --- | --- |",
            *(f"| {name} | {size // 1024} |" for name, size in folders.most_common() if size >= LEAST),
            "",
            f"The {LISTED} largest modules: "
            + ", ".join(f"{name} {size // 1024}" for name, size in kept.most_common(LISTED))
            + ".",
            "",
            f"Needed only to restart Docker, to finish what a crash left, or to answer a person: {rare // 1024} KB of "
            f"it ({', '.join(RARE)}). Imported at use it would be there all the same from the first move on, and "
            "that move would wait for it.",
        ]
    )


def _together(kept: Counter[str], part_of: Callable[[str], str]) -> Counter[str]:
    together = Counter[str]()
    for name, size in kept.items():
        together[part_of(name)] += size
    return together


def _python(laptop: Laptop, script: str) -> str:
    environment = laptop.docker.show("Environment", UNIT).split()
    return laptop.run("env", *environment, python(laptop), "-c", script).stdout


def _kb(text: str) -> int:
    return int(text.split(maxsplit=1)[0])


def _mb(text: str) -> str:
    return number(_kb(text) / 1024)


def _has_probed(laptop: Laptop, probes: int) -> Seen:
    asked = sum(" GET /v2/" in request for request in laptop.internet.requests())
    return Seen(asked >= probes, asked)

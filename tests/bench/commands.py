"""How long a person waits for `status`, `check` and `--help`, as installed."""

from __future__ import annotations

import json

from tests.machine.lab.laptop import AGENT, Laptop
from tests.machine.lab.places import World

from .at_work import at_work, policy, python, rests
from .row import Row

TIMES = 15
COMMANDS = ("status", "check", "--help")
# Measured in the laptop: getting there takes as long as some of them.
STOPWATCH = """
import json, os, resource, statistics, subprocess, sys, time
def used():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
def took(argv):
    began, before = time.monotonic(), used()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.monotonic() - began) * 1000, (used() - before) * 1000
def medians(measured):
    return [statistics.median(column) for column in zip(*measured)]
times, *commands = json.loads(sys.argv[1])
print(json.dumps([medians([took(argv) for _ in range(times + 1)][1:]) for argv in commands]))
"""


def rows(world: World) -> list[Row]:
    with at_work(world, policy(world)) as laptop:
        laptop.plug("home")
        laptop.until(rests, laptop, within=20)
        (pass_, _), *took = _medians(
            laptop, [python(laptop), "-c", "pass"], *([AGENT, command] for command in COMMANDS)
        )
    return [
        Row(f"`{command}`", ms, 150, " ms", f"`python -c pass` {pass_:.0f} ms", f"{cpu:.0f} ms of CPU")
        for command, (ms, cpu) in zip(COMMANDS, took, strict=True)
    ]


def _medians(laptop: Laptop, *commands: list[str]) -> list[list[float]]:
    """Of each: milliseconds, and those of CPU."""
    said = laptop.run("python3", "-c", STOPWATCH, json.dumps([TIMES, *commands]))
    medians: list[list[float]] = json.loads(said.stdout)
    return medians

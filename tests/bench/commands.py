"""How long a person waits for `status`, `check` and `--help`, as installed."""

from __future__ import annotations

import json

from tests.machine.lab.laptop import AGENT, Laptop
from tests.machine.lab.places import World

from .at_work import at_work, policy, rests
from .row import Row

TIMES = 15
COMMANDS = ("status", "check", "--help")
# Measured in the laptop: getting there takes as long as some of them.
STOPWATCH = """
import json, statistics, subprocess, sys, time
def took(argv):
    began = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.monotonic() - began) * 1000
times, *commands = json.loads(sys.argv[1])
print(json.dumps([statistics.median([took(argv) for _ in range(times + 1)][1:]) for argv in commands]))
"""


def rows(world: World) -> list[Row]:
    with at_work(world, policy(world)) as laptop:
        laptop.plug("home")
        laptop.until(rests, laptop, within=20)
        pass_, *took = _medians(laptop, [_python(laptop), "-c", "pass"], *([AGENT, command] for command in COMMANDS))
    return [
        Row(f"`{command}`", ms, 150, " ms", f"`python -c pass` {pass_:.0f} ms")
        for command, ms in zip(COMMANDS, took, strict=True)
    ]


def _medians(laptop: Laptop, *commands: list[str]) -> list[float]:
    said = laptop.run("python3", "-c", STOPWATCH, json.dumps([TIMES, *commands]))
    medians: list[float] = json.loads(said.stdout)
    return medians


def _python(laptop: Laptop) -> str:
    """The interpreter that the command names in its first line."""
    return laptop.run("sed", "-n", "1s/^#!//p", AGENT).stdout.strip()

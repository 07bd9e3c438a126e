"""A restart while containers run, which all go on, against a bare restart, which ends them first."""

from __future__ import annotations

import time

from tests.machine.lab.docker import LOCAL_IMAGE
from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World

from .at_work import at_work, bare_restart, policy, rests
from .roams import moved
from .row import Row, number

CONTAINERS = 5


def rows(world: World) -> list[Row]:
    with at_work(world, policy(world)) as laptop:
        laptop.plug("home")
        laptop.until(rests, laptop, within=20)
        _start(laptop)
        before = _pids(laptop)
        move = moved(laptop, "office", world.office.tinyproxy.url)
        lost = len(before - _pids(laptop))
        restart_s = move.total_s - move.until_written_s
        time.sleep(1)  # live-restore is switched off again
        bare_s = bare_restart(laptop)
        killed = len(before - _pids(laptop))
    return [
        Row(
            f"Restart with {CONTAINERS} containers, ÷ bare restart without live-restore",
            restart_s / bare_s,
            0.1,
            baseline=f"bare restart {number(bare_s)} s, {killed} containers killed",
            where=f"{restart_s * 1000:.0f} ms, with live-restore switched on; the whole move {number(move.total_s)} s",
        ),
        Row(f"Containers lost of {CONTAINERS}", lost, 0),
    ]


def _start(laptop: Laptop) -> None:
    laptop.docker.import_image()
    for number_ in range(CONTAINERS):
        # Nothing that ends at SIGTERM, as many do not: `docker stop` takes its ten seconds.
        laptop.run("docker", "run", "--detach", "--name", f"busy-{number_}", LOCAL_IMAGE, "sleep", "1000000")


def _pids(laptop: Laptop) -> set[int]:
    names = [f"busy-{number_}" for number_ in range(CONTAINERS)]
    said = laptop.run("docker", "inspect", "--format", "{{.State.Pid}}", *names).stdout
    return {int(line) for line in said.split()} - {0}

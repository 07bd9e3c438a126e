"""From a change of network until dockerd answers with the right settings, against a bare restart."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from agent.reconcile import STILL_S
from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World

from .at_work import answered, at_work, bare_restart, policy, rests, unplugged
from .figures import in_ms
from .row import Row

MOVES = 5
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Move:
    """One move; the parts are told by the audit log."""

    total_s: float
    until_decided_s: float
    until_written_s: float


def rows(world: World) -> list[Row]:
    office = world.office.tinyproxy.url
    bare: list[float] = []
    there: list[Move] = []
    back: list[Move] = []
    # Where its packets vanish, the office's proxy keeps everybody waiting: no answer is the worst of answers.
    world.home.forward(f"-d {world.office.PROXIES} -j DROP")
    try:
        with at_work(world, policy(world)) as laptop:
            moved(laptop, "home", "")
            for _ in range(MOVES):
                there.append(moved(laptop, "office", office))
                back.append(moved(laptop, "home", ""))
                bare.append(bare_restart(laptop))
                laptop.until(rests, laptop, within=20)
    finally:
        world.home.forward()
    restart_s = median(bare)
    baseline = f"bare restart {in_ms(bare)}"
    return [
        Row(
            "Route change to a network whose first upstream works → dockerd right, ÷ bare restart",
            median(move.total_s for move in there) / restart_s,
            1.6,
            baseline=baseline,
            where=_parts(there),
            short=f"{STILL_S:g} s in which nothing is written, until the network stands still, are "
            f"{STILL_S / restart_s:.2f} of it, however fast the rest is",
        ),
        Row(
            "The other way, the first upstream gone: the same, less 5 s of patience",
            (median(move.total_s for move in back) - PATIENCE_S) / restart_s,
            1.6,
            baseline=baseline,
            where=_parts(back),
        ),
    ]


def moved(laptop: Laptop, place: str, https: str) -> Move:
    """From rest into that place, until dockerd answers with that proxy."""
    unplugged(laptop)
    known = len(laptop.audit.records())
    wall = time.time() - time.monotonic()
    arrived = laptop.plug(place)
    total_s = answered(laptop, https) - arrived
    laptop.until(rests, laptop, within=20)
    new = laptop.audit.records()[known:]

    def after(event: str) -> float:
        moments = [dt.datetime.fromisoformat(record["ts"]).timestamp() for record in new if record["event"] == event]
        return moments[-1] - wall - arrived if moments else 0.0

    return Move(total_s, after("apply-started"), after("settings-written"))


def _parts(moves: Sequence[Move]) -> str:
    decided = [move.until_decided_s for move in moves]
    written = [move.until_written_s - move.until_decided_s for move in moves]
    restarted = [move.total_s - move.until_written_s for move in moves]
    total = [move.total_s for move in moves]
    return f"{in_ms(total)}: {in_ms(decided)} until decided, {in_ms(written)} to write, {in_ms(restarted)} to restart"

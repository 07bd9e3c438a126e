"""From a change of network until dockerd answers with the right settings, against a bare restart."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.machine.lab.laptop import Laptop
from tests.machine.lab.places import World

from .at_work import UNIT, answered, at_work, bare_restart, policy, rests, unplugged
from .figures import in_ms
from .row import Row

MOVES = 3  # in each of the three repetitions: one way and back takes 20 s
PATIENCE_S = 5.0
UNKIND = 0.1  # that unkind users may add
THERE = "Route change to a network whose first upstream works → dockerd right, ÷ bare restart"
BACK = "The other way, the first upstream gone: the same, less 5 s of patience"


@dataclass(frozen=True)
class Move:
    """One move; the parts are told by the audit log."""

    total_s: float
    until_decided_s: float
    until_written_s: float


def rows(world: World) -> list[Row]:
    known, there, back = _measured(world, policy(world, by_gateway=True))
    plain, there_plain, back_plain = _measured(world, policy(world))
    unkind, there_unkind, back_unkind = _measured(world, policy(world, by_gateway=True), _unkind)
    kind_there, kind_back = _ratio(there, known), _ratio(back, known, PATIENCE_S)
    return [
        _row(f"{THERE} (match.gateway)", there, known, 1.45),
        _row(f"{BACK} (match.gateway)", back, known, 1.45, less_s=PATIENCE_S),
        _row(f"{THERE} (no match)", there_plain, plain, None),
        _row(f"{BACK} (no match)", back_plain, plain, None, less_s=PATIENCE_S),
        _row(f"{THERE} (unkind users)", there_unkind, unkind, kind_there + UNKIND),
        _row(f"{BACK} (unkind users)", back_unkind, unkind, kind_back + UNKIND, less_s=PATIENCE_S),
    ]


def _row(what: str, moves: Sequence[Move], bare: Sequence[float], at_most: float | None, less_s: float = 0.0) -> Row:
    baseline, where = f"bare restart {in_ms(bare)}", _parts(moves)
    return Row(what, _ratio(moves, bare, less_s), at_most, baseline=baseline, where=where)


def _ratio(moves: Sequence[Move], bare: Sequence[float], less_s: float = 0.0) -> float:
    return (median(move.total_s for move in moves) - less_s) / median(bare)


def _measured(
    world: World, text: str, prepare: Callable[[Laptop], object] = lambda _: None
) -> tuple[list[float], list[Move], list[Move]]:
    """Bare restarts, moves to the office and moves back, in turns."""
    office = world.office.tinyproxy.url
    bare: list[float] = []
    there: list[Move] = []
    back: list[Move] = []
    # Where its packets vanish, the office's proxy keeps everybody waiting: no answer is the worst of answers.
    world.home.forward(f"-d {world.office.PROXIES} -j DROP")
    try:
        with at_work(world, text) as laptop:
            prepare(laptop)
            moved(laptop, "home", "")
            for _ in range(MOVES):
                there.append(moved(laptop, "office", office))
                back.append(moved(laptop, "home", ""))
                bare.append(bare_restart(laptop))
                _forgets_the_moves(laptop)
                laptop.until(rests, laptop, within=20)
    finally:
        world.home.forward()
    return bare, there, back


def _forgets_the_moves(laptop: Laptop) -> None:
    """Else so many moves are an unsteady network, which is not followed at once; a minute's rest takes longer."""
    laptop.run("systemctl", "stop", UNIT, timeout=30)
    laptop.run("rm", "-f", "/var/lib/docker-proxy-agent/unsteady.json")
    laptop.run("systemctl", "start", UNIT, timeout=30)


def _unkind(laptop: Laptop) -> None:
    """One stops whatever runs as her, one has a file of 1 MiB, and root's own says nothing but `://`."""
    auths = {f"r{number}.example": {"auth": "a" * 620} for number in range(1600)}
    laptop.run("mkdir", "-p", "/home/bob/.docker", user="bob")
    laptop.write("/home/bob/.docker/config.json", json.dumps({"auths": auths}), mode=0o600, owner="bob")
    entry = {"proxies": {"default": {"httpProxy": "://" * 21_000}}}
    laptop.run("mkdir", "-p", "/root/.docker")
    laptop.write("/root/.docker/config.json", json.dumps(entry), mode=0o600)
    laptop.run("systemd-run", "--quiet", "--uid=alice", "sh", "-c", "while :; do kill -STOP -1; sleep 0.02; done")


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
        return moments[0] - wall - arrived if moments else 0.0  # Docker's half; the clients' comes behind it

    return Move(total_s, after("apply-started"), after("settings-written"))


def _parts(moves: Sequence[Move]) -> str:
    decided = [move.until_decided_s for move in moves]
    written = [move.until_written_s - move.until_decided_s for move in moves]
    restarted = [move.total_s - move.until_written_s for move in moves]
    total = [move.total_s for move in moves]
    return f"{in_ms(total)}: {in_ms(decided)} until decided, {in_ms(written)} to write, {in_ms(restarted)} to restart"

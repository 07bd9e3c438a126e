"""Who moves bytes in which round of the loop."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from agent.relay.by_source import FEW
from agent.relay.limits import ROOTS
from agent.relay.rounds import WITHIN_S, Rounds

PATIENCE_S: Final = 10.0


class Time:
    """By which only moving takes any."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Moves:
    """Half of what a round may take."""

    def __init__(self, source: str, time: Time, moved: list[str]) -> None:
        self._source = source
        self._time = time
        self._moved = moved
        self.has_paused = False

    def whose(self) -> str:
        return self._source

    def pause(self) -> None:
        self.has_paused = True

    def go(self) -> None:
        self._time.now += WITHIN_S / 2
        self._moved.append(self._source)


async def test_a_few_move_at_once_and_the_others_in_turns_by_source_and_root_every_other_time() -> None:
    time = Time()
    rounds, moved = Rounds(clock=time), list[str]()
    several = [Moves(source, time, moved) for source in ["A"] * 60 + ["B"] * 2 + [ROOTS] * 2]
    for one in several:
        rounds.ready(one)
    assert moved == ["A"] * 2
    assert [one.has_paused for one in several] == [False] * 2 + [True] * 62

    each = [len(moved)]
    async with asyncio.timeout(PATIENCE_S):
        while len(moved) < len(several):
            await asyncio.sleep(0)
            each.append(len(moved))

    assert max(after - before for before, after in itertools.pairwise(each)) == 2
    assert moved[2:6] == [ROOTS, "A", ROOTS, "A"]
    assert [place for place, source in enumerate(moved) if source == "B"][-1] < FEW
    rounds.ready(several[0])
    assert len(moved) == 65  # at once again


async def test_a_task_goes_on_at_once_while_there_is_time_and_else_in_its_turn() -> None:
    time = Time()
    rounds, moved = Rounds(lambda _client: "T", time), list[str]()
    await rounds.turn(None)  # type: ignore[arg-type]
    for _ in range(2):
        rounds.ready(Moves("A", time, moved))
    waiting = asyncio.create_task(rounds.turn(None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert not waiting.done()
    async with asyncio.timeout(PATIENCE_S):
        await waiting

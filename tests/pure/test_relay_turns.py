"""Whose turn it is where many have something to do, and come from several sources."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Final

from agent.relay.by_source import FEW
from agent.relay.limits import ROOTS, counts_for
from agent.relay.turns import Turns

PATIENCE_S: Final = 10.0


class Waiting:
    """Who waits, and in which order they have their turn."""

    def __init__(self) -> None:
        self.turns = Turns(1)
        self.asked: list[str] = []
        self.had: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def come(self, source: str, count: int = 1) -> None:
        self._tasks += [asyncio.create_task(self._waits(source)) for _ in range(count)]

    async def all(self) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)
        return self.had

    async def _waits(self, source: str) -> None:
        await self.turns.next(self._is(source), is_first=False)
        self.had.append(source)

    def _is(self, source: str) -> Callable[[], str]:
        def whose() -> str:
            self.asked.append(source)
            return source

        return whose


async def test_a_few_go_on_as_they_come_and_nobody_asks_whose_they_are() -> None:
    waiting = Waiting()
    waiting.come("A", FEW - 1)
    waiting.come(ROOTS)

    assert await waiting.all() == ["A"] * (FEW - 1) + [ROOTS]
    assert waiting.asked == []


async def test_a_source_waits_for_none_that_has_hundreds_waiting_and_root_has_every_other_turn() -> None:
    waiting = Waiting()
    waiting.come("A", 300)
    waiting.come("B", 2)
    waiting.come(ROOTS, 3)

    had = await waiting.all()

    assert len(had) == 305
    assert had[:6] == [ROOTS, "A", ROOTS, "A", ROOTS, "B"]  # an A is of those who came while they were few
    assert had.index("B", 6) < 12
    assert len(waiting.asked) == 305 - FEW


async def test_who_gives_up_takes_nobodys_turn() -> None:
    waiting = Waiting()
    waiting.come("A", 2 * FEW)
    waiting.come("B", 2)
    await asyncio.sleep(0)
    for task in waiting._tasks[1 : 2 * FEW]:
        task.cancel()
    await asyncio.gather(*waiting._tasks, return_exceptions=True)

    assert waiting.had == ["A", "B", "B"]


def test_of_this_host_root_is_a_source_of_its_own_and_a_container_is_never_root() -> None:
    def counted(*, is_container: bool, is_roots: bool) -> str:
        return counts_for(
            "172.17.0.2", lambda peers: [f"port of {peer}" for peer in peers],
            is_container=is_container, is_roots=lambda: is_roots,
        )  # fmt: skip

    assert counted(is_container=False, is_roots=True) == ROOTS
    assert counted(is_container=False, is_roots=False) == "this host"
    assert counted(is_container=True, is_roots=True) == "port of 172.17.0.2"


async def in_each_round(tasks: Sequence[asyncio.Task[None]]) -> list[int]:
    """How many of them went on each time that the loop came round, as often as any did."""
    done = [0]
    async with asyncio.timeout(PATIENCE_S):
        while done[-1] < len(tasks):
            await asyncio.sleep(0)
            done.append(sum(task.done() for task in tasks))
    return [after - before for before, after in itertools.pairwise(done) if after > before]


async def test_who_has_waited_seldom_goes_first_and_one_in_each_round_who_has_waited_often() -> None:
    turns, went = Turns(4), list[str]()

    async def wait(who: str) -> None:
        await turns.next(is_first=who == "seldom")
        went.append(who)

    waiting = [asyncio.create_task(wait(who)) for who in ["often"] * 10 + ["seldom"] * 7]

    assert await in_each_round(waiting) == [4, 4, 4, 4, 1]
    assert [went[place : place + 4].count("seldom") for place in range(0, 12, 4)] == [3, 3, 1]


async def test_who_is_gone_meanwhile_leaves_no_place_of_a_round_empty() -> None:
    turns = Turns(4)
    gone, there = ([asyncio.create_task(turns.next(is_first=True)) for _ in range(count)] for count in (2, 6))
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()

    assert await in_each_round(there) == [4, 2]
    assert all(task.cancelled() for task in gone)

"""What is looked at again and again, until it is so or the time is over."""

from __future__ import annotations

import asyncio

from agent.system.until import every, until


class Counter:
    """One more each time that it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> int:
        self.looks += 1
        return self.looks


async def test_the_first_look_that_is_enough_ends_it() -> None:
    counter = Counter()

    assert await until(counter.look, lambda seen: seen == 3, within_s=60, every_s=0.01) == 3
    assert counter.looks == 3


async def test_what_is_so_at_once_is_not_waited_for() -> None:
    async with asyncio.timeout(30):
        assert await until(Counter().look, lambda seen: seen == 1, within_s=600, every_s=600) == 1


async def test_the_last_look_is_what_is_known_when_the_time_is_over() -> None:
    counter = Counter()

    assert await until(counter.look, lambda seen: seen < 0, within_s=0.1, every_s=0.01) == counter.looks
    assert counter.looks > 1


async def test_one_look_is_taken_however_short_the_time() -> None:
    assert await until(Counter().look, lambda seen: seen < 0, within_s=0, every_s=600) == 1


async def test_turns_end_with_the_time() -> None:
    turns = 0

    async for _ in every(0.01, within_s=0.1):
        turns += 1

    assert turns > 1

"""Several attempts at one thing: who starts when, and when it is decided.

Not known here: what is attempted. Addresses of a name, registries of an upstream and upstreams of a network all use
this.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

Entrant = Callable[[], Coroutine[Any, Any, T]]


async def race(
    entrants: Sequence[Entrant[T]], *, apart_s: Sequence[float], enough: Callable[[Mapping[int, T]], bool]
) -> dict[int, T]:
    """The results by position, as soon as they are enough. The others are cancelled, and have ended on return.

    Entrant n starts `apart_s[n]` after the one before it, or at once if none is running.
    """
    results: dict[int, T] = {}
    running: dict[asyncio.Task[T], int] = {}
    waiting = deque(range(len(entrants)))
    loop = asyncio.get_running_loop()
    next_start = loop.time()
    try:
        while waiting or running:
            while waiting and (loop.time() >= next_start or not running):
                position = waiting.popleft()
                running[asyncio.create_task(entrants[position]())] = position
                next_start = loop.time() + (apart_s[waiting[0]] if waiting else 0.0)
            pause_s = max(0.0, next_start - loop.time()) if waiting else None
            done, _ = await asyncio.wait(running, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
            results.update({running.pop(task): task.result() for task in done})
            if done and enough(results):
                break
    finally:
        # Not a TaskGroup, which would wait for the losers, or fail with them.
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return results

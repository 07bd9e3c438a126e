"""When nothing more comes."""

from __future__ import annotations

import asyncio

from agent.service.watch.wakeups import Wakeups

QUIET_S = 0.3


async def at_rest(wakeups: Wakeups, at_most_s: float) -> None:
    """Takes what comes until nothing has come for a while."""
    loop = asyncio.get_running_loop()
    until = loop.time() + at_most_s
    while await wakeups.next(QUIET_S):
        assert loop.time() < until, "it does not come to rest"

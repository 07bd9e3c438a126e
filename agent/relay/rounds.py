"""How long each round of the loop may take with what it carries, and who has his turn then.

Hundreds of tunnels may have megabytes ready at the same moment. The loop would move all of it before it came round, and
whoever connects needs some rounds until he is served. So carrying has a few milliseconds of each; what is ready then
waits, by source, and each source has its turn.
Not known here: what is moved.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from agent.relay.by_source import Line

WITHIN_S: Final = 0.004  # of a round; one turn more may begin just before
_OF_A_TASK_S: Final = 0.001  # its turn, which is not seen here


class Ready(Protocol):
    """What has something to move."""

    def whose(self) -> str:
        """The source that it counts for: see `Line`."""

    def pause(self) -> None:
        """It waits for its turn, and need not be told that it is ready."""

    def go(self) -> None:
        """Its turn. It may have ended meanwhile."""


class _Task:
    """It goes on in the loop's next round."""

    def __init__(self, client: socket.socket, whose: Callable[[socket.socket], str]) -> None:
        self._client = client
        self._whose = whose
        self.goes_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def whose(self) -> str:
        return self._whose(self._client)

    def pause(self) -> None:
        """It awaits."""

    def go(self) -> None:
        if not self.goes_on.done():
            self.goes_on.set_result(None)


class Rounds:
    """Of one loop."""

    def __init__(
        self, whose: Callable[[socket.socket], str] = lambda _client: "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`whose`: the source that a client counts for."""
        self.whose_is = whose
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting = Line[Ready]()
        self._used_s = 0.0  # since the last round that was given out here, or longer ago
        self._is_due = False

    def ready(self, one: Ready) -> None:
        """It has its turn at once, or pauses until it has."""
        if self._used_s < WITHIN_S:
            self._let_go(one)
        else:
            one.pause()
            self._wait(one)

    async def turn(self, client: socket.socket) -> None:
        """As `ready`, for a task."""
        if self._used_s < WITHIN_S:
            self._used_s += _OF_A_TASK_S
        else:
            one = _Task(client, self.whose_is)
            self._wait(one)
            await one.goes_on

    def _wait(self, one: Ready) -> None:
        self._waiting.add(one.whose, one)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._next_round)

    def _next_round(self) -> None:
        self._is_due, self._used_s = False, 0.0
        while self._waiting and self._used_s < WITHIN_S:
            one = self._waiting.next()
            self._let_go(one)
            self._used_s += _OF_A_TASK_S * isinstance(one, _Task)
        if self._waiting:
            self._is_due = True
            self._loop.call_soon(self._next_round)

    def _let_go(self, one: Ready) -> None:
        began = self._clock()
        one.go()
        self._used_s += self._clock() - began

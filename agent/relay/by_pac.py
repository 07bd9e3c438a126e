"""Asks the PAC of the orders, for each host, which ways lead there.

Another process evaluates the script (`probe/pac.py`). What it said of a host is kept for a minute; while it does not
answer nobody waits for it again, and goes as the orders say.
Not known here: what becomes of the ways (`ways.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from agent.probe.pac import PacAsker, PacEvaluator
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript, Way
from agent.values.relay import RelayPac

KEPT_S: Final = 60.0
MOST_KEPT: Final = 1024  # hosts
_WITHIN_S: Final = 2.0  # it takes milliseconds
_AGAIN_S: Final = 10.0  # after it has not answered
_PORTS: Final = {"http": 80, "https": 443}

_Key = tuple[str, int, bool]


class ByPac:
    """Of one relay."""

    def __init__(self, evaluator: PacEvaluator, clock: Callable[[], float] = time.monotonic) -> None:
        self._evaluator = evaluator
        self._clock = clock
        self._pac: RelayPac | None = None
        self._asker: PacAsker | None = None
        self._kept: OrderedDict[_Key, tuple[float, tuple[Way, ...]]] = OrderedDict()
        self._asked: dict[_Key, asyncio.Task[tuple[Way, ...] | None]] = {}
        self._silent_until = float("-inf")

    async def ways(self, pac: RelayPac, host: str, port: int, *, is_tunnel: bool) -> tuple[Way, ...] | None:
        """None: it does not answer, or names no way."""
        await self._use(pac)
        key, now = (host, port, is_tunnel), self._clock()
        if (kept := self._kept.get(key)) is not None and now < kept[0]:
            return kept[1]
        if now < self._silent_until:
            return None
        if (task := self._asked.get(key)) is None:
            task = self._asked[key] = asyncio.get_running_loop().create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(task)  # others may wait for it, too

    def forget(self) -> None:
        """This host may be elsewhere: what a script looked up says nothing any more."""
        self._kept.clear()

    async def aclose(self) -> None:
        for task in self._asked.values():
            task.cancel()
        await self._end()

    async def _use(self, pac: RelayPac) -> None:
        if self._pac is not None and (pac.script, pac.my_ip) == (self._pac.script, self._pac.my_ip):
            return
        self._pac = pac
        self._kept.clear()
        self._silent_until = float("-inf")
        ended, self._asker = self._asker, PacAsker(self._evaluator, PacScript(pac.script, ""), pac.my_ip)
        if ended is not None:
            await ended.aclose()

    async def _end(self) -> None:
        asker, self._asker, self._pac = self._asker, None, None
        if asker is not None:
            await asker.aclose()

    async def _ask(self, key: _Key) -> tuple[Way, ...] | None:
        host, port, is_tunnel = key
        asker = self._asker
        if asker is None:
            return None
        scheme = "https" if is_tunnel else "http"
        name = f"[{host}]" if ":" in host else host
        at = "" if port == _PORTS[scheme] else f":{port}"
        answer = await asker.answer(PacQuestion(f"{scheme}://{name}{at}/", host), _WITHIN_S)
        if asker is not self._asker:  # of a script that is gone
            return answer.ways or None if isinstance(answer, PacAnswer) else None
        if isinstance(answer, PacFault):
            if not asker.is_open:  # else it is about this host alone
                self._silent_until = self._clock() + _AGAIN_S
            return None
        self._kept[key] = self._clock() + KEPT_S, answer.ways
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return answer.ways or None

"""Asks the PAC in the orders, for each host, which ways lead there.

Other processes evaluate the script (`probe/pac.py`), each one question at a time: one process for all containers, which
take turns, one for this host, and one for root while other users of this host keep that busy. So a slow question delays
nobody else, except other containers for a moment. Answers are kept for a minute. Without an answer, a connection uses
the upstreams of the orders.
Not known here: what becomes of the ways (`ways.py`).
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from agent.probe.pac import Opened, PacAsker, PacEvaluator
from agent.relay.limits import Whose
from agent.values.pac import PacAnswer, PacFault, PacScript, Way, question
from agent.values.relay import RelayPac

KEPT_S: Final = 60.0
MOST_KEPT: Final = 1024  # hosts
_WITHIN_S: Final = 2.0  # for a turn, and then for the answer; it takes milliseconds
_AGAIN_S: Final = 10.0  # after it has not answered
_MOST_SILENT: Final = 1024


class _Whose(enum.Enum):
    CONTAINERS = "containers"
    HOSTS = "host"
    ROOTS = "root"


class _Key(msgspec.Struct, frozen=True):
    host: str
    port: int
    is_tunnel: bool


class _Noting:
    """Whether there is anybody who evaluates."""

    def __init__(self, evaluator: PacEvaluator) -> None:
        self._evaluator = evaluator
        self.is_there = True

    async def open(self) -> Opened:
        self.is_there = False
        opened = await self._evaluator.open()
        self.is_there = True
        return opened


class _Line:
    """Those who ask one process, and what it has said."""

    def __init__(self, evaluator: PacEvaluator, pac: RelayPac, clock: Callable[[], float], whose: Whose) -> None:
        self._clock = clock
        self._whose = whose
        self._evaluator = _Noting(evaluator)
        self._asker = PacAsker(self._evaluator, PacScript(pac.script, ""), pac.my_ip)
        self._turn = asyncio.Lock()
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}  # of one source, and how many want it
        self._asked: dict[tuple[str, _Key], asyncio.Task[tuple[Way, ...] | None]] = {}
        self._silent_until: dict[str, float] = {}
        self._nobody_until = float("-inf")
        self._is_over = False
        self.kept: OrderedDict[_Key, tuple[float, tuple[Way, ...]]] = OrderedDict()

    async def ways(self, source: str, key: _Key) -> tuple[Way, ...] | None:
        """`source`: a container's address; '' for this host, where no program has to suffer for another."""
        now = self._clock()
        if (kept := self.kept.get(key)) is not None and now < kept[0]:
            return kept[1]
        if source:  # one container may use many addresses
            (source,) = self._whose([source])
        if now < max(self._nobody_until, self._silent_until.get(source or key.host, now)):
            return None
        if (task := self._asked.get((source, key))) is None:
            task = self._asked[source, key] = asyncio.get_running_loop().create_task(self._in_turn(source, key))
            task.add_done_callback(lambda _: self._asked.pop((source, key), None))
        return await asyncio.shield(task)  # others may wait for it, too

    @property
    def is_busy(self) -> bool:
        return self._turn.locked()

    async def aclose(self) -> None:
        """Those that wait use the upstreams of the orders."""
        self._is_over = True
        await self._asker.aclose()

    async def _in_turn(self, source: str, key: _Key) -> tuple[Way, ...] | None:
        """Each source has one question in the queue at a time, so a source with many delays only itself."""
        own, wanted = self._turns.get(source, (asyncio.Lock(), 0))
        self._turns[source] = own, wanted + 1
        try:
            async with asyncio.timeout(_WITHIN_S) as waiting, own, self._turn:
                waiting.reschedule(None)
                return None if self._is_over else await self._ask(source, key)
        except TimeoutError:
            return None
        finally:
            own, wanted = self._turns.pop(source)
            if wanted > 1:
                self._turns[source] = own, wanted - 1

    async def _ask(self, source: str, key: _Key) -> tuple[Way, ...] | None:
        answer = await self._asker.answer(question(key.host, key.port, is_https=key.is_tunnel), _WITHIN_S)
        if self._is_over:
            await self._asker.aclose()
        if isinstance(answer, PacFault):
            self._note_fault(source or key.host)
            return None
        assert isinstance(answer, PacAnswer)  # noqa: S101 - the other of the two
        self.kept[key] = self._clock() + KEPT_S, answer.ways
        self.kept.move_to_end(key)
        while len(self.kept) > MOST_KEPT:
            self.kept.popitem(last=False)
        return answer.ways or None

    def _note_fault(self, of: str) -> None:
        now = self._clock()
        if not self._evaluator.is_there:
            self._nobody_until = now + _AGAIN_S
        elif not self._asker.is_open:  # it took too long; else the script failed at once, for this host
            if len(self._silent_until) >= _MOST_SILENT:
                self._silent_until = {one: until for one, until in self._silent_until.items() if now < until}
            self._silent_until[of] = now + _AGAIN_S


class ByPac:
    """Of one relay."""

    def __init__(
        self, evaluator: PacEvaluator, clock: Callable[[], float] = time.monotonic, whose: Whose = list
    ) -> None:
        self._evaluator = evaluator
        self._whose = whose
        self._clock = clock
        self._pac: RelayPac | None = None
        self._lines: dict[_Whose, _Line] = {}

    async def ways(  # noqa: PLR0913 - named at its one call
        self,
        pac: RelayPac,
        host: str,
        port: int,
        *,
        is_tunnel: bool,
        container: str = "",
        is_roots: Callable[[], bool] = lambda: False,
    ) -> tuple[Way, ...] | None:
        """None: it does not answer, or names no way. `container`: its address; '' is this host.

        `is_roots`: only asked if others of this host are being answered.
        """
        await self._use(pac)
        key = _Key(host, port, is_tunnel)
        if container:
            return await self._line(pac, _Whose.CONTAINERS).ways(container, key)
        line = self._line(pac, _Whose.HOSTS)
        if line.is_busy and is_roots():
            line = self._line(pac, _Whose.ROOTS)
        return await line.ways("", key)

    def forget(self) -> None:
        """This host may be elsewhere: what a script looked up says nothing any more."""
        for line in self._lines.values():
            line.kept.clear()

    async def aclose(self) -> None:
        self._pac = None
        await self._end()

    def _line(self, pac: RelayPac, whose: _Whose) -> _Line:
        line = self._lines.get(whose)
        if line is None:
            line = self._lines[whose] = _Line(self._evaluator, pac, self._clock, self._whose)
        return line

    async def _use(self, pac: RelayPac) -> None:
        if self._pac is not None and (pac.script, pac.my_ip) == (self._pac.script, self._pac.my_ip):
            return
        self._pac = pac
        await self._end()

    async def _end(self) -> None:
        ended, self._lines = self._lines, {}
        for line in ended.values():
            await line.aclose()

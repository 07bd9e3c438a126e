"""Users of the laptop's model, and their files: kind and unkind, in a time that is the model's.

The waiting for them is the real one (`agent/clients/bounded_work.py`), on an event loop that waits for nothing.
"""

from __future__ import annotations

import asyncio
import enum
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, TypeVar

from agent.clients.bounded_work import BoundedWork, Work
from agent.system.clock import SystemClock
from agent.values.errors import AgentError, HomeSilent

WAITS_S: Final = 1.0
KIND_S: Final = 0.075  # what a helper takes
HUGE_S: Final = 3.0
GIVES_NO_ANSWER_S: Final = 10.0  # then the helper is given up
NOT_AGAIN_S: Final = 600.0
HELD_S: Final = WAITS_S + 2 * KIND_S + 0.05  # a pass, at most
ALICE, BOB = Path("alice"), Path("bob")

M = TypeVar("M")


class Manner(enum.Enum):
    KIND = "kind"
    STOPPED = "a helper that gives no answer"
    HUGE = "a huge file"


class _Shown(enum.Enum):
    RIGHT = "right"
    OTHER = "to be written"
    FAILED = "failed"
    LATE = "late"


class _Words:
    def failed(self, _path: Path, _error: AgentError) -> _Shown:
        return _Shown.FAILED

    def late(self, _path: Path) -> _Shown:
        return _Shown.LATE


class _Nothing(selectors.SelectSelector):
    """Nothing is ever ready, and waiting takes no time but the loop's."""

    def __init__(self, waits: Callable[[float], None]) -> None:
        super().__init__()
        self._waits = waits

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "waits for ever"
        self._waits(max(timeout, 0.0))
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, now: float) -> None:
        self.now = now
        super().__init__(_Nothing(self._waits))

    def _waits(self, seconds: float) -> None:
        self.now += seconds

    def time(self) -> float:
        return self.now


class _Clock(SystemClock):
    def __init__(self, loop: _Loop) -> None:
        self._loop = loop

    def boottime_s(self) -> float:
        return self._loop.now


class Users(Generic[M]):
    """Alice is always kind; Bob is as he becomes."""

    def __init__(self, now: float) -> None:
        self._loop = _Loop(now)
        self._bounded = BoundedWork[_Shown](_Words(), WAITS_S, clock=_Clock(self._loop))
        self._files: dict[Path, M | None] = {ALICE: None, BOB: None}
        self._bob = Manner.KIND
        self._was_unkind = False
        self._ends: dict[object, float] = {}
        self._held = -NOT_AGAIN_S

    def becomes(self, manner: Manner) -> None:
        """What is under way stays as it is. Who has been kind for once is waited for again."""
        self._bob = manner
        self._was_unkind |= manner is not Manner.KIND
        if manner is Manner.KIND:
            self._held = -NOT_AGAIN_S

    @property
    def are_kind(self) -> bool:
        """And always have been."""
        return not self._was_unkind

    def all_have(self, meaning: M) -> bool:
        return all(file == meaning for file in self._files.values())

    def next_end(self) -> float | None:
        """When something that nobody waits for comes to its end, and tells."""
        return min(self._ends.values(), default=None)

    def elapse(self, now: float) -> None:
        if self._ends and now > self._loop.now:
            self._loop.run_until_complete(asyncio.sleep(now - self._loop.now))
        self._loop.now = max(self._loop.now, now)

    def written(self, meaning: M, now: float) -> float:
        """A look and what follows from it; when both are over."""
        self.elapse(now)
        if self.all_have(meaning) and not self._ends:
            return now
        began = self._loop.now
        self._loop.run_until_complete(self._one_pass(meaning))
        took_s = self._loop.now - began
        assert took_s <= HELD_S, f"a pass was held up for {took_s} s"
        if took_s > WAITS_S / 2:
            assert began >= self._held + NOT_AGAIN_S, "one who is known to be slow was waited for again"
            self._held = began
        assert self._files[ALICE] == meaning, "somebody else's home kept a file from being written"
        return self._loop.now

    async def _one_pass(self, meaning: M) -> None:
        seen = await self._bounded.each(
            {path: Work(("look", meaning), self._work(path, meaning, writes=False)) for path in self._files}
        )
        other = [path for path, shown in zip(self._files, seen, strict=True) if shown is _Shown.OTHER]
        if other:
            await self._bounded.each(
                {path: Work(("write", meaning), self._work(path, meaning, writes=True)) for path in other},
                lambda _: None,
            )

    def _work(self, path: Path, meaning: M, *, writes: bool) -> Callable[[], Coroutine[Any, Any, _Shown]]:
        async def work() -> _Shown:
            manner, key = self._bob if path == BOB else Manner.KIND, object()
            takes_s = {Manner.KIND: KIND_S, Manner.HUGE: HUGE_S, Manner.STOPPED: GIVES_NO_ANSWER_S}[manner]
            self._ends[key] = self._loop.now + takes_s
            try:
                await asyncio.sleep(takes_s)
                if manner is Manner.STOPPED:
                    _silent(path)
                if writes:
                    self._files[path] = meaning
                return _Shown.RIGHT if self._files[path] == meaning else _Shown.OTHER
            finally:
                del self._ends[key]

        return work

    def close(self) -> None:
        """With all that is still under way."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.close()


def _silent(path: Path) -> NoReturn:
    raise HomeSilent(str(path), "gave no answer")

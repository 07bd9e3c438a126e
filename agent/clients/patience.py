"""The work on each of many files, bounded: what one of them costs is its own.

An error that nobody expected, or a home that gives no answer, costs that file, which is left out for a while, longer
each time. And nobody waits long for one that does not come: its work goes on, how it came out is told when it ends and
taken by whoever asks for the same the next time, and a file that kept somebody waiting is not waited for again soon.
Not known here: what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from agent.audit.unexpected import unexpected
from agent.decide.backoff import again_s
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.errors import AgentError, HomeSilent

WAITS_S: Final = 1.0  # a helper takes 75 ms; four at a time, of a whole family
_FORGIVEN_S: Final = 600.0  # who was slow is not waited for meanwhile

_AT_ONCE_S: Final = 0.02  # what needs no helper is there by then
# So long what came late is taken for how it is. It tells, and a look follows; but that may be one that asks nobody: the
# laptop is offline, or paused. Whoever asks hours later is not to be told of a file as it was.
_NEWS_FOR_S: Final = 10.0
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(msgspec.Struct, Generic[T], frozen=True):
    """What is to be done with one file, and what tells it from another work."""

    about: object
    begun: Callable[[], Coroutine[Any, Any, T]]


class Otherwise(Protocol[T_co]):
    """What is made of a file whose work came to no end, or to no good one."""

    def failed(self, path: Path, error: AgentError) -> T_co: ...
    def late(self, path: Path) -> T_co: ...


class _Slow(msgspec.Struct, frozen=True):
    """A file that gave no answer, or an error that nobody expected."""

    error: AgentError
    times: int  # in a row
    at: float  # the last time, on CLOCK_BOOTTIME
    until: float  # when it is tried again


_Acts = bool  # whether a work changes something: a read that is quick says nothing of the writes


class _Waited(msgspec.Struct, frozen=True):
    """Somebody waited in vain."""

    at: float  # the last time, on CLOCK_BOOTTIME
    times: int  # with less than `_FORGIVEN_S` between them
    is_forgiven: bool = False


class _Came(msgspec.Struct, Generic[T], frozen=True):
    """How a work came out, after nobody waited for it any more."""

    about: object
    how: T
    at: float  # of CLOCK_BOOTTIME


class Patience(Generic[T]):
    """With the files of one policy. `waits_s`: None waits for all, as a command does that has no next pass."""

    def __init__(
        self,
        otherwise: Otherwise[T],
        waits_s: float | None = None,
        told: Callable[[], None] = lambda: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`told`: something that was late has come."""
        self._otherwise = otherwise
        self._waits_s = waits_s
        self._told = told
        self._clock = clock
        self._slow: dict[Path, _Slow] = {}
        self._waited: dict[tuple[Path, _Acts], _Waited] = {}  # for one that does come
        self._under_way: dict[Path, asyncio.Task[T]] = {}
        self._acting: set[asyncio.Task[T]] = set()  # of these, those that change something
        self._came: dict[Path, _Came[T]] = {}  # later than somebody waited for, and not asked for yet

    async def each(self, works: Mapping[Path, Work[T]], afterwards: Callable[[T], None] | None = None) -> list[T]:
        """How each came out, in their order. `afterwards`: it changes something, and gets what comes later."""
        now = self._clock.boottime_s()
        came = {path: one for path, work in works.items() if (one := self._taken(path, work, now)) is not None}
        tasks: dict[Path, asyncio.Task[T]] = {}
        for path, work in works.items():
            slow = self._slow.get(path)
            if path not in came and path not in self._under_way and (slow is None or now >= slow.until):
                tasks[path] = asyncio.create_task(self._bounded(path, afterwards is not None, work.begun()))
        try:
            await self._wait(tasks, afterwards is not None, now)
        except asyncio.CancelledError:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())
            raise
        for path, task in tasks.items():
            if not task.done():
                self._goes_on(path, task, works[path].about, afterwards)
        return [came[path].how if path in came else self._shown(path, tasks.get(path)) for path in works]

    async def let_go(self) -> None:
        """Nothing is changed any more: what is still under way and would ends now, done or not."""
        acting = tuple(self._acting)
        for task in acting:
            task.cancel()
        if acting:
            await asyncio.wait(acting)

    def _taken(self, path: Path, work: Work[T], now: float) -> _Came[T] | None:
        came = self._came.pop(path, None)
        is_asked_for = came is not None and came.about == work.about and now < came.at + _NEWS_FOR_S
        return came if is_asked_for else None

    async def _wait(self, tasks: Mapping[Path, asyncio.Task[T]], acts: _Acts, now: float) -> None:
        if not tasks:
            return
        if self._waits_s is None:
            await asyncio.wait(tasks.values())
            return
        await asyncio.wait(tasks.values(), timeout=_AT_ONCE_S)
        prompt = [task for path, task in tasks.items() if not task.done() and not self._was_slow(path, acts, now)]
        if prompt:
            await asyncio.wait(prompt, timeout=self._waits_s)
            at = self._clock.boottime_s()
            for path, task in tasks.items():
                if task in prompt and not task.done():
                    known = self._waited.get((path, acts))
                    times = known.times if known is not None and at < known.at + _FORGIVEN_S else 0
                    self._waited[path, acts] = _Waited(at, times + 1)

    def _was_slow(self, path: Path, acts: _Acts, now: float) -> bool:
        """A home that is slow to read is not written quickly, either."""
        waited = [one for key in {(path, False), (path, acts)} if (one := self._waited.get(key)) is not None]
        return self._has_failed(path, now) or any(not one.is_forgiven and now < one.at + _FORGIVEN_S for one in waited)

    def _has_failed(self, path: Path, now: float) -> bool:
        slow = self._slow.get(path)
        return slow is not None and now < slow.at + _FORGIVEN_S

    async def _bounded(self, path: Path, acts: _Acts, work: Coroutine[Any, Any, T]) -> T:
        began = self._clock.boottime_s()
        try:
            done = await work
        except HomeSilent as error:
            failure: AgentError = error
        except Exception as error:  # noqa: BLE001 - the boundary of a target
            failure = unexpected(str(path), error)
        else:
            now = self._clock.boottime_s()
            if not self._has_failed(path, now):
                self._slow.pop(path, None)
            waited = self._waited.get((path, acts))
            # What was slow was the moment. Said of a second time, it would be taken from whoever is slow at each other.
            if self._waits_s is not None and now < began + self._waits_s and waited is not None and waited.times == 1:
                self._waited[path, acts] = msgspec.structs.replace(waited, is_forgiven=True)
            return done
        now, known = self._clock.boottime_s(), self._slow.get(path)
        times = known.times + 1 if known is not None else 1
        self._slow[path] = _Slow(failure, times, now, now + again_s(times))
        return self._otherwise.failed(path, failure)

    def _goes_on(
        self, path: Path, task: asyncio.Task[T], about: object, afterwards: Callable[[T], None] | None
    ) -> None:
        def ended(task: asyncio.Task[T]) -> None:
            self._under_way.pop(path, None)
            self._acting.discard(task)
            if task.cancelled():
                return
            try:
                if afterwards is not None:
                    afterwards(task.result())
                else:
                    self._came[path] = _Came(about, task.result(), self._clock.boottime_s())
            except Exception as error:  # noqa: BLE001 - the boundary of a target: the next look finds out what stands there
                unexpected(str(path), error)
            self._told()

        self._under_way[path] = task
        if afterwards is not None:
            self._acting.add(task)
        task.add_done_callback(ended)

    def _shown(self, path: Path, task: asyncio.Task[T] | None) -> T:
        if task is not None and task.done():
            return task.result()
        slow = self._slow.get(path)
        is_out = slow is not None and path not in self._under_way
        return self._otherwise.failed(path, slow.error) if slow is not None and is_out else self._otherwise.late(path)

"""Work on many files, bounded so that a slow or broken file costs only itself.

After an unexpected error, or no answer from a home, that file is left out for a while, longer each time. No caller
waits long for a slow file: its work goes on, its end is announced, and the next caller that asks for the same gets the
result. A file that kept a caller waiting is not waited for again soon. Not known here: what the work is.
"""

from __future__ import annotations

import asyncio
import enum
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from agent.audit.unexpected import unexpected
from agent.decide.backoff import again_s
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.errors import AgentError, HomeSilent

WAITS_S: Final = 1.0  # a helper takes 75 ms; four at a time, of a whole family
_FORGIVEN_S: Final = 600.0  # a file that was slow is not waited for meanwhile

_AT_ONCE_S: Final = 0.02  # what needs no helper is there by then
# How long a late result counts as current. Its end starts a look, but that look may not ask for it (offline, paused),
# and hours later the file may be different.
_NEWS_FOR_S: Final = 10.0
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(msgspec.Struct, Generic[T], frozen=True):
    """What is to be done with one file; `about` tells it from other work."""

    about: object
    begun: Callable[[], Coroutine[Any, Any, T]]


class Fallback(Protocol[T_co]):
    """What to return for a file whose work failed or has not ended."""

    def failed(self, path: Path, error: AgentError) -> T_co: ...
    def late(self, path: Path) -> T_co: ...


class _WorkKind(enum.Enum):
    """Of work: a quick read says nothing about writes."""

    READ = "read"
    WRITE = "write"


class _Failure(msgspec.Struct, frozen=True):
    """A file did not answer, or there was an unexpected error."""

    error: AgentError
    times: int  # in a row
    at: float  # the last time, on CLOCK_BOOTTIME
    until: float  # when it is tried again


class _Waited(msgspec.Struct, frozen=True):
    """A caller waited in vain."""

    at: float  # the last time, on CLOCK_BOOTTIME
    times: int  # with less than `_FORGIVEN_S` between them
    is_forgiven: bool = False


class _Came(msgspec.Struct, Generic[T], frozen=True):
    """The result of work that ended after its caller had stopped waiting."""

    about: object
    how: T
    at: float  # of CLOCK_BOOTTIME


class _Past:
    """What one file has cost so far. Pure: the time (CLOCK_BOOTTIME) is an argument."""

    def __init__(self) -> None:
        self.failed: _Failure | None = None
        self._waited: dict[_WorkKind, _Waited] = {}

    def is_left_out(self, now: float) -> bool:
        return self.failed is not None and now < self.failed.until

    def is_waited_for(self, kind: _WorkKind, now: float) -> bool:
        """A home that is slow to read is also slow to write."""
        known = [waited for one in {_WorkKind.READ, kind} if (waited := self._waited.get(one)) is not None]
        return not self._failed_lately(now) and all(one.is_forgiven or now >= one.at + _FORGIVEN_S for one in known)

    def note_wait(self, kind: _WorkKind, now: float) -> None:
        """A wait in vain."""
        known = self._waited.get(kind)
        times = known.times if known is not None and now < known.at + _FORGIVEN_S else 0
        self._waited[kind] = _Waited(now, times + 1)

    def note_success(self, kind: _WorkKind, now: float, *, is_prompt: bool) -> None:
        if not self._failed_lately(now):
            self.failed = None
        waited = self._waited.get(kind)
        # Only a slow moment. Forgiven once: else a file that is slow every other time would always be waited for.
        if is_prompt and waited is not None and waited.times == 1:
            self._waited[kind] = msgspec.structs.replace(waited, is_forgiven=True)

    def note_failure(self, error: AgentError, now: float) -> None:
        times = self.failed.times + 1 if self.failed is not None else 1
        self.failed = _Failure(error, times, now, now + again_s(times))

    def _failed_lately(self, now: float) -> bool:
        return self.failed is not None and now < self.failed.at + _FORGIVEN_S


class BoundedWork(Generic[T]):
    """On the files of one policy. `waits_s`: None waits for all, as a command does, which has no next pass."""

    def __init__(
        self,
        fallback: Fallback[T],
        waits_s: float | None = None,
        told: Callable[[], None] = lambda: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`told` is called when something late has ended."""
        self._fallback = fallback
        self._waits_s = waits_s
        self._told = told
        self._clock = clock
        self._past: defaultdict[Path, _Past] = defaultdict(_Past)
        self._under_way: dict[Path, asyncio.Task[T]] = {}
        self._writing: set[asyncio.Task[T]] = set()  # of these
        self._came: dict[Path, _Came[T]] = {}  # late, and not asked for yet

    async def each(self, works: Mapping[Path, Work[T]], afterwards: Callable[[T], None] | None = None) -> list[T]:
        """The results, in order. `afterwards`: the work changes something, and late results go there."""
        kind = _WorkKind.READ if afterwards is None else _WorkKind.WRITE
        now = self._clock.boottime_s()
        came = {path: one for path, work in works.items() if (one := self._take(path, work, now)) is not None}
        tasks: dict[Path, asyncio.Task[T]] = {}
        for path, work in works.items():
            if path not in came and path not in self._under_way and not self._past[path].is_left_out(now):
                tasks[path] = asyncio.create_task(self._run(path, kind, work.begun()))
        try:
            await self._wait(tasks, kind, now)
        except asyncio.CancelledError:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())
            raise
        for path, task in tasks.items():
            if not task.done():
                self._leave(path, task, works[path].about, afterwards)
        return [came[path].how if path in came else self._shown(path, tasks.get(path)) for path in works]

    async def let_go(self) -> None:
        """Stop all work under way that would change something, done or not."""
        writing = tuple(self._writing)
        for task in writing:
            task.cancel()
        if writing:
            await asyncio.wait(writing)

    def _take(self, path: Path, work: Work[T], now: float) -> _Came[T] | None:
        came = self._came.pop(path, None)
        is_asked_for = came is not None and came.about == work.about and now < came.at + _NEWS_FOR_S
        return came if is_asked_for else None

    async def _wait(self, tasks: Mapping[Path, asyncio.Task[T]], kind: _WorkKind, now: float) -> None:
        if not tasks:
            return
        if self._waits_s is None:
            await asyncio.wait(tasks.values())
            return
        await asyncio.wait(tasks.values(), timeout=_AT_ONCE_S)
        awaited = {
            path: task for path, task in tasks.items() if not task.done() and self._past[path].is_waited_for(kind, now)
        }
        if awaited:
            await asyncio.wait(awaited.values(), timeout=self._waits_s)
            at = self._clock.boottime_s()
            for path, task in awaited.items():
                if not task.done():
                    self._past[path].note_wait(kind, at)

    async def _run(self, path: Path, kind: _WorkKind, work: Coroutine[Any, Any, T]) -> T:
        began = self._clock.boottime_s()
        try:
            done = await work
        except HomeSilent as error:
            failure: AgentError = error
        except Exception as error:  # noqa: BLE001 - the boundary of a target
            failure = unexpected(str(path), error)
        else:
            now = self._clock.boottime_s()
            is_prompt = self._waits_s is not None and now < began + self._waits_s
            self._past[path].note_success(kind, now, is_prompt=is_prompt)
            return done
        self._past[path].note_failure(failure, self._clock.boottime_s())
        return self._fallback.failed(path, failure)

    def _leave(self, path: Path, task: asyncio.Task[T], about: object, afterwards: Callable[[T], None] | None) -> None:
        """Stop waiting for it; it goes on."""

        def finish(task: asyncio.Task[T]) -> None:
            self._under_way.pop(path, None)
            self._writing.discard(task)
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
            self._writing.add(task)
        task.add_done_callback(finish)

    def _shown(self, path: Path, task: asyncio.Task[T] | None) -> T:
        if task is not None and task.done():
            return task.result()
        failed = self._past[path].failed
        if failed is not None and path not in self._under_way:
            return self._fallback.failed(path, failed.error)
        return self._fallback.late(path)

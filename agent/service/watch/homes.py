"""Whether users' files may have changed, and a wake-up when one may have.

Watched is the folder where root stops, mostly the home, for the one name that leads on; and the folders that a helper
of the user passed, if they are on a local file system and belong to the user or root. No path below a home is resolved
here. Files that cannot be watched are read again by the helper, after a while.

A file that changes all the time wakes ever more rarely, each file for itself: it costs a helper now and then, and no
other user waits. Not known here: what is in the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Protocol

from agent.clients.descriptors import file_systems, folder, held
from agent.clients.homes import Passed
from agent.clients.users import Threshold
from agent.service.watch.paths import GATHER_S, LIMITS
from agent.service.watch.wakeups import Wake
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.system.inotify import Inotify
from agent.values.reason import Reason

SHORTEST_REST_S: Final = 0.1
LONGEST_REST_S: Final = 60.0
_NOISE_REST_S: Final = 5.0  # at most, after events of other names in the folders
_RESTLESS_S: Final = 10.0  # a change within this time and four rests makes the next rest longer
_CALM_REST_S: Final = 1.0  # up to this rest, a question also reads the events that are queued
_MOST: Final = 64  # inotify instances; root has 128 (fs.inotify.max_user_instances), and other programs need some
_NEARLY: Final = 0.9  # timers are not that exact
_ROOT: Final = 0

_Key = tuple[int, Path]


class Whose(Protocol):
    """The user of the file, and where root stops on the way to it."""

    @property
    def uid(self) -> int: ...
    @property
    def threshold(self) -> Threshold | None: ...


class HomeWatch:
    """Wakes until it is closed."""

    def __init__(self, wake: Wake, clock: Clock = SYSTEM_CLOCK) -> None:
        self._wake = wake
        self._clock = clock
        self._files: dict[_Key, _WatchedFile] = {}

    @property
    def unwatched(self) -> dict[Path, str]:
        """The files that are where they could be watched, and cannot be, and why."""
        return {path: file.problem for (_, path), file in self._files.items() if file.problem}

    @property
    def limit(self) -> str:
        """The inotify limit that was reached, as sysctl names it."""
        return next((file.limit for file in self._files.values() if file.limit), "")

    async def begin(self, account: Whose, path: Path) -> None:
        """Called before the file is read: every event from now on is a change."""
        key = (account.uid, path)
        with contextlib.ExitStack() as let_go:
            first = await _first(account.threshold, let_go)
            before = self._files.pop(key, None)
            pace = before.pace if before is not None else _Pace()
            if before is not None:
                before.close()
            is_one_more = sum(file.is_watched for file in self._files.values()) < _MOST
            self._files[key] = _WatchedFile(
                account, self._clock, pace=pace, wake=self._wake, first=first if is_one_more else None
            )

    async def follow(self, account: Whose, path: Path, passed: Sequence[Passed], *, is_whole: bool) -> None:
        """The folders on the way to it, which the caller closes afterwards; not whole: some are missing."""
        try:
            kinds = await asyncio.to_thread(file_systems, [one.descriptor for one in passed])
        except OSError:  # mountinfo cannot be read: none of them is watched
            kinds = [""] * len(passed)
        if (file := self._files.get((account.uid, path))) is not None:  # else it was closed meanwhile
            file.follow(list(zip(passed, kinds, strict=True)), is_whole=is_whole)

    def is_still(self, account: Whose, path: Path, within_s: float) -> bool:
        """Whether there was no event since. If not everything is watched: whether it was read less than so long ago."""
        file = self._files.get((account.uid, path))
        if file is None or file.threshold != account.threshold or file.is_told():
            return False
        return file.is_whole or self._clock.boottime_s() - file.read_at < within_s * _NEARLY

    def keep(self, files: Collection[_Key]) -> None:
        """Stop watching all other files; by uid and path."""
        for key in self._files.keys() - set(files):
            self._files.pop(key).close()

    def close(self) -> None:
        """No wake-up comes after this."""
        self.keep(())


class _Pace:
    """How long to rest after an event: the sooner it came, the longer."""

    def __init__(self, at_most_s: float = LONGEST_REST_S, restless_s: float = _RESTLESS_S) -> None:
        self.rest_s = SHORTEST_REST_S
        self._at_most_s = at_most_s
        self._restless_s = restless_s
        self._told_at: float | None = None

    def note(self, now: float) -> None:
        is_restless = self._told_at is not None and now - self._told_at < self._restless_s + 4 * self.rest_s
        self.rest_s = min(self.rest_s * 2, self._at_most_s) if is_restless else SHORTEST_REST_S
        self._told_at = now


async def _first(threshold: Threshold | None, let_go: contextlib.ExitStack) -> int | None:
    """The folder where root stopped, if it is still that one."""
    if threshold is None or not threshold.below:
        return None
    with contextlib.suppress(OSError):  # it vanished just now
        descriptor = let_go.enter_context(held(threshold.folder))
        (kind,) = await asyncio.to_thread(file_systems, (descriptor,))
        found = folder(descriptor, kind)
        # If it is another one, the next look finds that out.
        if found is not None and (found.st_dev, found.st_ino) == threshold.identity:
            return descriptor
    return None


class _WatchedFile:
    """One file since it was last read."""

    def __init__(self, account: Whose, clock: Clock, *, pace: _Pace, wake: Wake, first: int | None) -> None:
        self.threshold = account.threshold
        self.read_at = clock.boottime_s()
        self.pace = pace
        self.is_whole = False
        self.problem = ""
        self.limit = ""
        self._owners = frozenset({account.uid, _ROOT})
        self._wake = wake
        self._clock = clock
        self._noise = _Pace(_NOISE_REST_S, _CALM_REST_S)
        self._is_told = False
        self._names: dict[int, set[bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._inotify: Inotify | None = None
        self._loop = asyncio.get_running_loop()
        if first is not None and self.threshold is not None:
            below = self.threshold.below
            if self._add(first, os.fsencode(below[0]), is_last=len(below) == 1):
                self._rest(pace.rest_s)

    def follow(self, passed: Sequence[tuple[Passed, str]], *, is_whole: bool) -> None:
        """The folders beyond the threshold."""
        if not self._names:
            return  # without the first folder, a swap of the others would go unnoticed
        last = len(passed) - 1
        followed = [self._watch(one, kind, is_last=at == last) for at, (one, kind) in enumerate(passed)]
        self.is_whole = is_whole and all(followed)

    @property
    def is_watched(self) -> bool:
        """Whether it has an inotify instance."""
        return self._inotify is not None

    def is_told(self) -> bool:
        """Whether there was a change. Of a file that changes all the time, queued events do not count yet."""
        if self.pace.rest_s <= _CALM_REST_S:
            self._read()
        return self._is_told

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None

    def _watch(self, passed: Passed, kind: str, *, is_last: bool) -> bool:
        """Nothing is called on it before its file system is known: a user chose what it is."""
        with contextlib.suppress(OSError):
            found = folder(passed.descriptor, kind)
            if found is not None and found.st_uid in self._owners:
                return self._add(passed.descriptor, passed.name, is_last=is_last)
        return False

    def _add(self, descriptor: int, name: bytes, *, is_last: bool) -> bool:
        try:
            self._inotify = self._inotify or Inotify()
            watch = self._inotify.add(descriptor, and_files=is_last)
            self._names.setdefault(watch, set()).add(name)
        except OSError as error:
            self.problem = error.strerror or str(error)
            self.limit = LIMITS.get(error.errno or 0, self.limit)
            return False
        return True

    def _rest(self, for_s: float) -> None:
        """During a rest the kernel queues events, up to a limit; then it notes that some were lost."""
        self._timer = self._loop.call_later(for_s, self._listen)

    def _listen(self) -> None:
        if self._inotify is not None and not self._is_told:
            self._loop.add_reader(self._inotify.descriptor, self._hear)

    def _hear(self) -> None:
        assert self._inotify is not None  # noqa: S101 - or this would not be called
        self._loop.remove_reader(self._inotify.descriptor)
        self._read()
        if not self._is_told:
            self._noise.note(self._clock.boottime_s())
            self._rest(self._noise.rest_s)

    def _read(self) -> None:
        if self._inotify is None or self._is_told:
            return
        # Events of other names do not count; those of a folder itself, and of lost events, always do.
        if any(not event.name or event.name in self._names.get(event.watch, ()) for event in self._inotify.read()):
            self._is_told = True
            self.pace.note(self._clock.boottime_s())
            self._loop.remove_reader(self._inotify.descriptor)
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(GATHER_S, self._wake, Reason.FILES)

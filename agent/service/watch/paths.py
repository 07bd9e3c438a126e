"""Wakes when one of some files changes, appears, vanishes, or is another one all of a sudden.

By watchdog, on directories: a watch on a file goes deaf when it is renamed over (FACTS 37). Watched are the directory
of each path, of each link on the way to it, and the nearest one that exists where a part is missing; each only for the
names that lead on. A directory that was swapped for another is found by `refresh`, and often told by the one above it.
Our own temporary files and mere reading wake nobody. A directory that tells too much is left alone for a moment, and
looked at afterwards: a storm there costs next to nothing. Not known here: what is in the files.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from watchdog import events
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from agent.service.watch.brake import REST_S, Brake
from agent.service.watch.wakeups import Wake
from agent.system.files import is_folder, is_leftover
from agent.system.links import Ahead
from agent.values.reason import Reason

GATHER_S: Final = 0.1  # what changes within this time is one wake-up: an editor's save is several changes

# inotify(7), by what inotify_init and inotify_add_watch say.
LIMITS: Final = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENOSPC: "fs.inotify.max_user_watches"}

_MOVES: Final[list[type[FileSystemEvent]]] = [
    events.FileCreatedEvent,
    events.DirCreatedEvent,
    events.FileMovedEvent,
    events.DirMovedEvent,
    events.FileDeletedEvent,
    events.DirDeletedEvent,
]
_WRITES: Final[list[type[FileSystemEvent]]] = [
    *_MOVES,
    events.FileModifiedEvent,
    events.FileClosedEvent,
    # A change of mode or owner: `modified` before watchdog 7.1, which has a class for it.
    *([events.FileAttribEvent] if hasattr(events, "FileAttribEvent") else []),
]


class Depth(enum.IntEnum):
    """What in a directory counts."""

    NAMES = 1  # a name comes, goes, or is another file's: a link, or part of a way that ends here
    FILES = 2  # what is in them, too


class Place(msgspec.Struct, frozen=True):
    """A directory to be watched."""

    directory: Path
    depth: Depth
    names: frozenset[str] | None  # None: any


class Step(msgspec.Struct, frozen=True):
    """A name that is looked up in a directory, on the way to a file."""

    directory: Path  # without links
    name: str
    depth: Depth | None  # None: the way goes on below; the directory need not be watched for it


def places(paths: Iterable[Path]) -> list[Place]:
    """The directories that tell of a change of these files, as things are now."""
    names: dict[Path, set[str] | None] = {}
    depths: dict[Path, Depth] = {}
    for step in (step for path in paths for step in _steps(path)):
        if step.depth is not None:
            depths[step.directory] = max(step.depth, depths.get(step.directory, Depth.NAMES))
        if not step.name:
            names[step.directory] = None
        elif (known := names.setdefault(step.directory, set())) is not None:
            known.add(step.name)
    return [
        Place(directory, depth, None if (known := names[directory]) is None else frozenset(known))
        for directory, depth in sorted(depths.items())
    ]


def _steps(path: Path) -> Iterator[Step]:
    """The way to a file, name by name, through all links, as far as it exists."""
    here, ahead = Path("/"), Ahead(str(path.absolute()))
    while ahead:
        name = ahead.next()
        if name == "..":
            here = here.parent
            continue
        try:
            target = os.readlink(here / name)  # noqa: PTH115 - it is split as text
        except OSError as error:
            if error.errno == errno.EINVAL and ahead and is_folder(here / name):
                yield Step(here, name, None)
                here /= name
                continue
            # The last name; or what should be a directory is missing, closed to us, or a file.
            yield Step(here, name, Depth.NAMES if ahead else Depth.FILES)
            if not ahead and is_folder(here / name):  # a directory was asked for: all that is in it counts
                yield Step(here / name, "", Depth.FILES)
            return
        yield Step(here, name, Depth.NAMES)
        try:
            here = Path("/") if ahead.follow(target) else here
        except OSError:  # in circles: nothing lies behind it
            return


class _Told(FileSystemEventHandler):
    """What watchdog's thread tells of one directory."""

    def __init__(self, watch: FileWatch, place: Place) -> None:
        self._watch = watch
        self.place = place
        self.is_gone = False  # and its number may be another's by now
        self._brake = Brake()

    def dispatch(self, event: FileSystemEvent) -> None:
        if self._brake.is_enough(time.monotonic()):
            self._watch.had_enough(self.place.directory)
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, events.DirDeletedEvent | events.FileDeletedEvent):
            self.is_gone |= paths[0] == str(self.place.directory)
        if self.is_gone or any(self._counts(os.path.basename(path)) for path in paths):  # noqa: PTH119  text, no path
            self._watch.told()

    def _counts(self, name: str) -> bool:
        return not is_leftover(name) and (self.place.names is None or name in self.place.names)


class _Watched(msgspec.Struct):
    told: _Told
    identity: tuple[int, int]
    watch: ObservedWatch
    looked: object  # what it looked like, from before it was listened to


class _Resting(msgspec.Struct):
    """A directory that tells too much."""

    place: Place
    looked: object
    timer: asyncio.TimerHandle


class FileWatch:
    """Wakes until it is closed. Its methods look at the disk, for some microseconds each path."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._paths: tuple[Path, ...] = ()
        self._watched: dict[Path, _Watched] = {}
        self._resting: dict[Path, _Resting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_told = False
        self._is_closed = False
        self.unwatched: dict[Path, str] = {}  # directories that cannot be watched, and why
        self.limit = ""  # the limit of inotify that was reached, as sysctl names it
        self._observer: BaseObserver | None = None  # None: nothing was watched yet, or inotify was not to be had

    def watch(self, paths: Iterable[Path]) -> None:
        """These, instead of those before."""
        self._paths = tuple(paths)
        self.refresh()

    def refresh(self) -> None:
        """Follow the directories: those that are others now, that appeared, and that a link leads to now.

        A directory that was not watched until now is a reason to look again: it may have changed since the last look.
        """
        wanted = {place.directory: place for place in places(self._paths)}
        for directory in self._watched.keys() - wanted.keys():
            self._unschedule(directory)
        for directory in self._resting.keys() - wanted.keys():
            self._resting.pop(directory).timer.cancel()
        self.unwatched, self.limit = {}, ""
        new = [place for place in wanted.values() if self._follow(place)]
        if new:
            self._wake(Reason.FILES)

    def close(self) -> None:
        """No wake-up comes after this, and no thread is left."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        if self._timer is not None:
            self._timer.cancel()
        for resting in self._resting.values():
            resting.timer.cancel()

    @property
    def resting(self) -> frozenset[Path]:
        """The directories that are not listened to for a moment: they told too much."""
        return frozenset(self._resting)

    def had_enough(self, directory: Path) -> None:
        """From watchdog's thread."""
        self._loop.call_soon_threadsafe(self._rests, directory)

    def _rests(self, directory: Path) -> None:
        watched = self._watched.get(directory)
        if self._is_closed or watched is None:
            return
        self._unschedule(directory)
        timer = self._loop.call_later(REST_S, self._listens, directory)
        # What was told and not heard of yet is lost: so what it looked like before all that is what counts.
        self._resting[directory] = _Resting(watched.told.place, watched.looked, timer)

    def _listens(self, directory: Path) -> None:
        resting = self._resting.pop(directory)
        is_watched = self._follow(resting.place)
        if not is_watched or self._watched[directory].looked != resting.looked:
            self.told()

    def told(self) -> None:
        """From watchdog's thread. While one wake-up is under way, what else changes is part of it."""
        if not self._is_told and not self._is_closed:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._gather)

    def _gather(self) -> None:
        if not self._is_closed:
            self._timer = self._loop.call_later(GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._is_told = False
        self._wake(Reason.FILES)

    def _follow(self, place: Place) -> bool:
        """Whether it is watched from now on, and was not before."""
        directory = place.directory
        if (resting := self._resting.get(directory)) is not None:
            resting.place = place
            return False
        known = self._watched.get(directory)
        try:
            status = directory.stat()  # before it is watched: if it is swapped just now, the next refresh finds out
            identity = (status.st_dev, status.st_ino)
            if known is not None:
                is_same = known.identity == identity and not known.told.is_gone
                if is_same and known.told.place.depth == place.depth:
                    known.told.place = place
                    return False
                self._unschedule(directory)  # or scheduling it would do nothing (FACTS 37)
            _check_readable(directory)
            looked = _looks(place)
            told = _Told(self, place)
            event_filter = _WRITES if place.depth is Depth.FILES else _MOVES
            watch = self._observing().schedule(told, str(directory), event_filter=event_filter)
        except OSError as error:  # it vanished just now, is closed to us, or inotify's limits are reached
            self.unwatched[directory] = error.strerror or str(error)
            self.limit = LIMITS.get(error.errno or 0, self.limit)
            return False
        self._watched[directory] = _Watched(told, identity, watch, looked)
        return True

    def _unschedule(self, directory: Path) -> None:
        self._observing().unschedule(self._watched.pop(directory).watch)

    def _observing(self) -> BaseObserver:
        """OSError where inotify is not to be had: then it is asked for again at the next refresh."""
        if self._observer is None:
            observer = Observer()  # watchdog 7 opens inotify here, 6 with each watch
            observer.start()
            self._observer = observer
        return self._observer


def _looks(place: Place) -> object:
    """What tells whether something that counts there has changed; unlike anything where all of it counts."""
    if place.names is None:
        return object()
    return {
        name: (_status(place.directory / name, of_link=True), _status(place.directory / name)) for name in place.names
    }


def _status(path: Path, *, of_link: bool = False) -> tuple[int, ...] | None:
    try:
        found = path.lstat() if of_link else path.stat()
    except OSError:  # not there, or closed to us
        return None
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def _check_readable(directory: Path) -> None:
    """PermissionError where inotify refuses it, of which watchdog says nothing."""
    if not os.access(directory, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))

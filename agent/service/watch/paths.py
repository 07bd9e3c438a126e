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


class WantedWatch(msgspec.Struct, frozen=True):
    """A directory to be watched."""

    directory: Path
    depth: Depth
    names: frozenset[str] | None  # None: any


class Lookup(msgspec.Struct, frozen=True):
    """A name that is looked up in a directory, on the way to a file."""

    directory: Path  # without links
    name: str
    depth: Depth | None  # None: the way goes on below; the directory need not be watched for it


def wanted_watches(paths: Iterable[Path]) -> list[WantedWatch]:
    """The directories that tell of a change of these files, as things are now."""
    names: dict[Path, set[str] | None] = {}
    depths: dict[Path, Depth] = {}
    for lookup in (lookup for path in paths for lookup in _lookups(path)):
        if lookup.depth is not None:
            depths[lookup.directory] = max(lookup.depth, depths.get(lookup.directory, Depth.NAMES))
        if not lookup.name:
            names[lookup.directory] = None
        elif (known := names.setdefault(lookup.directory, set())) is not None:
            known.add(lookup.name)
    return [
        WantedWatch(directory, depth, None if (known := names[directory]) is None else frozenset(known))
        for directory, depth in sorted(depths.items())
    ]


def _lookups(path: Path) -> Iterator[Lookup]:
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
                yield Lookup(here, name, None)
                here /= name
                continue
            # The last name; or what should be a directory is missing, closed to us, or a file.
            yield Lookup(here, name, Depth.NAMES if ahead else Depth.FILES)
            if not ahead and is_folder(here / name):  # a directory was asked for: all that is in it counts
                yield Lookup(here / name, "", Depth.FILES)
            return
        yield Lookup(here, name, Depth.NAMES)
        try:
            here = Path("/") if ahead.follow(target) else here
        except OSError:  # in circles: nothing lies behind it
            return


class _DirectoryEvents(FileSystemEventHandler):
    """What watchdog's thread tells of one directory."""

    def __init__(self, watch: FileWatch, wanted: WantedWatch) -> None:
        self._watch = watch
        self.wanted = wanted
        self.is_gone = False  # and its number may be another's by now
        self._brake = Brake()

    def dispatch(self, event: FileSystemEvent) -> None:
        if self._brake.is_enough(time.monotonic()):
            self._watch.had_enough(self.wanted.directory)
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, events.DirDeletedEvent | events.FileDeletedEvent):
            self.is_gone |= paths[0] == str(self.wanted.directory)
        if self.is_gone or any(self._counts(os.path.basename(path)) for path in paths):  # noqa: PTH119  text, no path
            self._watch.gather()

    def _counts(self, name: str) -> bool:
        return not is_leftover(name) and (self.wanted.names is None or name in self.wanted.names)


class _Watched(msgspec.Struct):
    handler: _DirectoryEvents
    identity: tuple[int, int]
    watch: ObservedWatch
    looked: object  # what it looked like, from before it was listened to


class _Resting(msgspec.Struct):
    """A directory that tells too much."""

    wanted: WantedWatch
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
        wanted = {one.directory: one for one in wanted_watches(self._paths)}
        for directory in self._watched.keys() - wanted.keys():
            self._unschedule(directory)
        for directory in self._resting.keys() - wanted.keys():
            self._resting.pop(directory).timer.cancel()
        self.unwatched, self.limit = {}, ""
        new = [one for one in wanted.values() if self._follow(one)]
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
        self._loop.call_soon_threadsafe(self._rest, directory)

    def _rest(self, directory: Path) -> None:
        watched = self._watched.get(directory)
        if self._is_closed or watched is None:
            return
        self._unschedule(directory)
        timer = self._loop.call_later(REST_S, self._listen_again, directory)
        # What was told and not heard of yet is lost: so what it looked like before all that is what counts.
        self._resting[directory] = _Resting(watched.handler.wanted, watched.looked, timer)

    def _listen_again(self, directory: Path) -> None:
        resting = self._resting.pop(directory)
        is_watched = self._follow(resting.wanted)
        if not is_watched or self._watched[directory].looked != resting.looked:
            self.gather()

    def gather(self) -> None:
        """From watchdog's thread. While one wake-up is under way, what else changes is part of it."""
        if not self._is_told and not self._is_closed:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._begin_to_gather)

    def _begin_to_gather(self) -> None:
        if not self._is_closed:
            self._timer = self._loop.call_later(GATHER_S, self._wake_once)

    def _wake_once(self) -> None:
        self._is_told = False
        self._wake(Reason.FILES)

    def _follow(self, wanted: WantedWatch) -> bool:
        """Whether it is watched from now on, and was not before."""
        directory = wanted.directory
        if (resting := self._resting.get(directory)) is not None:
            resting.wanted = wanted
            return False
        known = self._watched.get(directory)
        try:
            status = directory.stat()  # before it is watched: if it is swapped just now, the next refresh finds out
            identity = (status.st_dev, status.st_ino)
            if known is not None:
                is_same = known.identity == identity and not known.handler.is_gone
                if is_same and known.handler.wanted.depth == wanted.depth:
                    known.handler.wanted = wanted
                    return False
                self._unschedule(directory)  # or scheduling it would do nothing (FACTS 37)
            _check_readable(directory)
            looked = _looks(wanted)
            handler = _DirectoryEvents(self, wanted)
            event_filter = _WRITES if wanted.depth is Depth.FILES else _MOVES
            watch = self._running_observer().schedule(handler, str(directory), event_filter=event_filter)
        except OSError as error:  # it vanished just now, is closed to us, or inotify's limits are reached
            self.unwatched[directory] = error.strerror or str(error)
            self.limit = LIMITS.get(error.errno or 0, self.limit)
            return False
        self._watched[directory] = _Watched(handler, identity, watch, looked)
        return True

    def _unschedule(self, directory: Path) -> None:
        self._running_observer().unschedule(self._watched.pop(directory).watch)

    def _running_observer(self) -> BaseObserver:
        """OSError where inotify is not to be had: then it is asked for again at the next refresh."""
        if self._observer is None:
            observer = Observer()  # watchdog 7 opens inotify here, 6 with each watch
            observer.start()
            self._observer = observer
        return self._observer


def _looks(wanted: WantedWatch) -> object:
    """What tells whether something that counts there has changed; unlike anything where all of it counts."""
    if wanted.names is None:
        return object()
    return {
        name: (_status(wanted.directory / name, of_link=True), _status(wanted.directory / name))
        for name in wanted.names
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

"""Wakes when one of some files changes, appears, vanishes or is replaced.

With watchdog, on directories: a watch on a file goes deaf when another file is renamed over it (FACTS 37). Watched are
the directory of each path, of each link on the way to it, and the nearest existing one where a part is missing; each
only for the names that lead on. A directory that was swapped for another is found by `refresh`, and often by an event
of the one above it. Our own temporary files and mere reading do not wake. A directory with too many events rests for a
moment, and is looked at afterwards: a storm there costs next to nothing. Not known here: what is in the files.
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
from agent.system.beside import is_leftover
from agent.system.files import is_folder
from agent.system.links import Ahead
from agent.values.reason import Reason

GATHER_S: Final = 0.1  # all changes within this time are one wake-up: saving in an editor makes several

# inotify(7): the limit by the error of inotify_init and inotify_add_watch.
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
    """Which events of a directory count."""

    NAMES = 1  # a name comes, goes, or becomes another file's: a link, or a step where the path ends
    FILES = 2  # also writes to the files


class WantedWatch(msgspec.Struct, frozen=True):
    """A directory to watch."""

    directory: Path
    depth: Depth
    names: frozenset[str] | None  # None: any


class Lookup(msgspec.Struct, frozen=True):
    """A name that is looked up in a directory, on the way to a file."""

    directory: Path  # without links
    name: str
    depth: Depth | None  # None: the path goes on below, so the directory need not be watched


def wanted_watches(paths: Iterable[Path]) -> list[WantedWatch]:
    """The directories whose events show a change of these files, as the paths lead now."""
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
    """The lookups on the way to a file, through all links, as far as it exists."""
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
            # The last name; or the directory is missing, closed to us, or a file.
            yield Lookup(here, name, Depth.NAMES if ahead else Depth.FILES)
            if not ahead and is_folder(here / name):  # the path is a directory: all that is in it counts
                yield Lookup(here / name, "", Depth.FILES)
            return
        yield Lookup(here, name, Depth.NAMES)
        try:
            here = Path("/") if ahead.follow(target) else here
        except OSError:  # in circles: it leads nowhere
            return


class _DirectoryEvents(FileSystemEventHandler):
    """Takes the events of one directory from watchdog's thread."""

    def __init__(self, watch: FileWatch, wanted: WantedWatch) -> None:
        self._watch = watch
        self.wanted = wanted
        self.is_gone = False  # and the watch number may be reused by now
        self._brake = Brake()

    def dispatch(self, event: FileSystemEvent) -> None:
        if self._brake.is_enough(time.monotonic()):
            self._watch.had_enough(self.wanted.directory)
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, events.DirDeletedEvent | events.FileDeletedEvent):
            self.is_gone |= paths[0] == str(self.wanted.directory)
        if self.is_gone or any(self._counts(os.path.basename(path)) for path in paths):  # noqa: PTH119 - text, not a path
            self._watch.gather()

    def _counts(self, name: str) -> bool:
        return not is_leftover(name) and (self.wanted.names is None or name in self.wanted.names)


class _Watched(msgspec.Struct):
    handler: _DirectoryEvents
    identity: tuple[int, int]
    watch: ObservedWatch
    looked: object  # its state before it was watched


class _Resting(msgspec.Struct):
    """A directory with too many events."""

    wanted: WantedWatch
    looked: object
    timer: asyncio.TimerHandle


class FileWatch:
    """Wakes until it is closed. Its methods read the disk, some microseconds for each path."""

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
        self.limit = ""  # the inotify limit that was reached, as sysctl names it
        self._observer: BaseObserver | None = None  # None: nothing was watched yet, or inotify is not available

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch these paths, instead of those before."""
        self._paths = tuple(paths)
        self.refresh()

    def refresh(self) -> None:
        """Watch the directories that were replaced, that appeared, and that a link leads to now.

        A newly watched directory is a reason to look again: it may have changed since the last look.
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
        """The directories that are not watched for a moment: they had too many events."""
        return frozenset(self._resting)

    def had_enough(self, directory: Path) -> None:
        """Called in watchdog's thread."""
        self._loop.call_soon_threadsafe(self._rest, directory)

    def _rest(self, directory: Path) -> None:
        watched = self._watched.get(directory)
        if self._is_closed or watched is None:
            return
        self._unschedule(directory)
        timer = self._loop.call_later(REST_S, self._listen_again, directory)
        # Events that were not handled yet are lost, so the state before all of them is what counts.
        self._resting[directory] = _Resting(watched.handler.wanted, watched.looked, timer)

    def _listen_again(self, directory: Path) -> None:
        resting = self._resting.pop(directory)
        is_watched = self._follow(resting.wanted)
        if not is_watched or self._watched[directory].looked != resting.looked:
            self.gather()

    def gather(self) -> None:
        """Called in watchdog's thread. Further changes before the wake-up are part of it."""
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
        """Watch it. Whether it was not watched before, and is now."""
        directory = wanted.directory
        if (resting := self._resting.get(directory)) is not None:
            resting.wanted = wanted
            return False
        known = self._watched.get(directory)
        try:
            status = directory.stat()  # before watching: if it is swapped in between, the next refresh finds out
            identity = (status.st_dev, status.st_ino)
            if known is not None:
                is_same = known.identity == identity and not known.handler.is_gone
                if is_same and known.handler.wanted.depth == wanted.depth:
                    known.handler.wanted = wanted
                    return False
                self._unschedule(directory)  # or scheduling it again would do nothing (FACTS 37)
            _check_readable(directory)
            looked = _looks(wanted)
            handler = _DirectoryEvents(self, wanted)
            event_filter = _WRITES if wanted.depth is Depth.FILES else _MOVES
            watch = self._running_observer().schedule(handler, str(directory), event_filter=event_filter)
        except OSError as error:  # it has just vanished, is closed to us, or a limit of inotify is reached
            self.unwatched[directory] = error.strerror or str(error)
            self.limit = LIMITS.get(error.errno or 0, self.limit)
            return False
        self._watched[directory] = _Watched(handler, identity, watch, looked)
        return True

    def _unschedule(self, directory: Path) -> None:
        self._running_observer().unschedule(self._watched.pop(directory).watch)

    def _running_observer(self) -> BaseObserver:
        """OSError if inotify is not available: then the next refresh tries again."""
        if self._observer is None:
            observer = Observer()  # watchdog 7 opens inotify here, 6 with each watch
            observer.start()
            self._observer = observer
        return self._observer


def _looks(wanted: WantedWatch) -> object:
    """The state of what counts there, to be compared. If all of it counts: an object unlike any other."""
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
    """PermissionError where inotify would refuse, which watchdog does not report."""
    if not os.access(directory, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))

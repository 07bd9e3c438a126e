"""What the agent tells the relay: read at once, and again whenever the file is another one.

A file that cannot be parsed changes nothing: the last good orders stay in use, and why is said. One that is gone
does not, either: the agent leaves it when it stops, so somebody else has removed it. One that cannot be read now is
looked at again, because no event tells when it can: the agent may be in the middle of its swap (FACTS 232).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.system.files import Identity, identity_of, read_file
from agent.system.inotify import Inotify
from agent.values.errors import AgentError
from agent.values.relay import LARGEST_ORDERS, Orders, orders_in

_AGAIN_S: Final = 1.0  # while the folder is not there, or cannot be watched, or the file cannot be read
_SWAPPED_S: Final = 0.05  # while it is being swapped


class OrdersFile:
    """Watched until it is closed. `changed` is called with the orders in use, and what is wrong with the file."""

    def __init__(self, path: Path, changed: Callable[[Orders | None, str], None]) -> None:
        self._path = path
        self._changed = changed
        self._orders: Orders | None = None
        self._identity: Identity | None = None
        self._has_looked = False
        self._problem = ""
        self._loop = asyncio.get_running_loop()
        self._watch: Inotify | None = None
        self._again: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._follow()

    def close(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self._forget_unread()
        self._unwatch()

    def _follow(self) -> None:
        """First the watch, then the look: what changes in between is seen again."""
        self._again = None
        try:
            self._watch = _watching(self._path.parent)
        except OSError:  # no folder, or a limit of inotify(7)
            self._again = self._loop.call_later(_AGAIN_S, self._follow)
        else:
            self._loop.add_reader(self._watch.descriptor, self._told)
        self._look()

    def _told(self) -> None:
        assert self._watch is not None  # noqa: S101 - it is read from
        events = list(self._watch.read())
        if any(not event.name for event in events):  # the folder itself, or events were lost
            self._unwatch()
            self._follow()
        elif any(event.name == os.fsencode(self._path.name) for event in events):
            self._look()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._loop.remove_reader(self._watch.descriptor)
            self._watch.close()
            self._watch = None

    def _look(self) -> None:
        identity = self._identity_now()
        if self._has_looked and identity == self._identity:
            return
        self._forget_unread()
        self._has_looked, self._identity = True, identity
        problem = ""
        try:
            found = read_file(self._path)
            if found is None:
                problem = f"{self._path}: does not exist: the agent has not written it yet, or the relay is off"
            elif len(found.data) > LARGEST_ORDERS:
                problem = f"{self._path}: is too large"
            else:
                self._orders = orders_in(found.data, str(self._path))
        except AgentError as failure:
            problem = str(failure)
            if isinstance(failure.__cause__, OSError):
                self._has_looked = False
                is_swapped = isinstance(failure.__cause__, BlockingIOError)
                self._unread = self._loop.call_later(_SWAPPED_S if is_swapped else _AGAIN_S, self._look)
                if is_swapped or problem == self._problem:
                    return
        self._problem = problem
        self._changed(self._orders, problem)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _identity_now(self) -> Identity | None:
        with contextlib.suppress(AgentError):  # it is read next, and says so
            return identity_of(self._path)
        return None


def _watching(folder: Path) -> Inotify:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        watch = Inotify()
        try:
            watch.add(held, and_files=False)
        except OSError:
            watch.close()
            raise
        return watch
    finally:
        os.close(held)

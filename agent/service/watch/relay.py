"""Wakes when the relay says that an upstream cannot be opened, that somebody is refused or waits for word of a network,
or nothing any more.

What it says is another user's text, and it may say something every second: it wakes at most once in a while, and by
a change of these alone. That somebody waits is passed on at once: he waits for seconds only.
Not known here: how the file is read (`one_pass/relay_report.py`), and what a pass makes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.service.watch.wakeups import Wake
from agent.system.inotify import Inotify
from agent.values.reason import Reason
from agent.values.relay import RelayState

APART_S: Final = 5.0  # two wake-ups: each is a probe of the upstreams

_LOOKS_S: Final = 1.0  # the relay says something once a second at most

_Said = tuple[int, frozenset[str], frozenset[str]] | None
_GONE: Final[_Said] = (-1, frozenset(), frozenset())  # that its folder went is not told yet


class RelayWatch:
    """Of the folder that the relay's file is in, while there is one."""

    def __init__(
        self,
        wake: Wake,
        apart_s: float = APART_S,
        looks_s: float = _LOOKS_S,
        somebody_waits: Callable[[], object] = lambda: None,
    ) -> None:
        """`apart_s`: two wake-ups; `looks_s`: two readings of its file. `somebody_waits`: for word of a network."""
        self._wake = wake
        self._somebody_waits = somebody_waits
        self._apart_s, self._looks_s = apart_s, looks_s
        self._inotify: Inotify | None = None
        self._look: Callable[[], RelayState | None] = lambda: None
        self._said: _Said = None
        self._folder = Path()
        self._held: tuple[int, int] | None = None  # which folder is watched
        self._loop = asyncio.get_running_loop()
        self._woke_s = self._looked_s = float("-inf")
        self._later: asyncio.TimerHandle | None = None

    def follow(self, folder: Path | None, look: Callable[[], RelayState | None]) -> None:
        """Watch it from now on; None: nothing. Call it again after each pass: the folder comes with the relay."""
        self._look = look
        if folder is None:
            self.close()
            self._said = None
        elif self._inotify is None and self._said is not _GONE:
            self._said, self._folder = _said(look()), folder
            self._open(folder)

    def close(self) -> None:
        """No wake-up comes after this."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None

    def _open(self, folder: Path) -> None:
        """None is watched while it does not run, or inotify has no more: the next probe through it tells as well."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                inotify = Inotify()
                try:
                    inotify.add(descriptor, and_files=False)
                except OSError:
                    inotify.close()
                    raise
            finally:
                os.close(descriptor)
            self._inotify, self._held = inotify, self._identity()
            self._loop.add_reader(inotify.descriptor, self._told)

    def _told(self) -> None:
        """It is read once, however many events there are; an event without a name is of the folder, or of any."""
        if self._inotify is None:
            return
        is_of_the_folder = any(not event.name for event in self._inotify.read())
        if is_of_the_folder and self._identity() != self._held:  # it went with the relay
            self.close()
            self._said = _GONE
        self._look_at(max(self._loop.time(), self._looked_s + self._looks_s))

    def _look_at(self, at: float) -> None:
        """Then, or before, if it looks then in any case."""
        if self._later is not None:
            if self._later.when() <= at:
                return
            self._later.cancel()
        self._later = self._loop.call_at(at, self._compare)

    def _compare(self) -> None:
        """The one way to a wake-up, so the limit is here."""
        self._later, self._looked_s = None, self._loop.time()
        is_gone = self._said is _GONE
        said = None if is_gone else _said(self._look())
        if said == self._said:
            return
        if said is not None and said[2] - (self._said[2] if self._said is not None else frozenset()):
            self._somebody_waits()
        if self._looked_s < self._woke_s + self._apart_s:
            self._look_at(self._woke_s + self._apart_s)
            return
        self._said, self._woke_s = said, self._looked_s
        self._wake(Reason.RELAY)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._folder.lstat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _said(state: RelayState | None) -> _Said:
    if state is None:
        return None
    number = state.failed.number if state.failed is not None else 0
    return number, frozenset(one.source for one in state.refused), frozenset(state.untold)

"""Wakes when the relay says that an upstream cannot be opened, that somebody is refused, or nothing any more.

What it says is another user's text, and it may say something every second: it wakes at most once in a while, and by
a change of these alone. Not known here: how the file is read (`one_pass/relay_report.py`), and what a pass makes of it.
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

_Said = tuple[int, frozenset[str]] | None


class RelayWatch:
    """Of the folder that the relay's file is in, while there is one."""

    def __init__(self, wake: Wake, apart_s: float = APART_S) -> None:
        self._wake = wake
        self._apart_s = apart_s
        self._inotify: Inotify | None = None
        self._look: Callable[[], RelayState | None] = lambda: None
        self._said: _Said = None
        self._woke_s: float | None = None
        self._later: asyncio.TimerHandle | None = None

    def follow(self, folder: Path | None, look: Callable[[], RelayState | None]) -> None:
        """Watch it from now on; None: nothing. Call it again after each pass: the folder comes with the relay."""
        self._look = look
        if folder is None:
            self.close()
        elif self._inotify is None:
            self._said = _said(look())
            self._open(folder)

    def close(self) -> None:
        """No wake-up comes after this."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.descriptor)
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
            self._inotify = inotify
            asyncio.get_running_loop().add_reader(inotify.descriptor, self._told)

    def _told(self) -> None:
        """It is read once, however many events there are."""
        if self._inotify is not None:
            is_gone = any(not event.name for event in self._inotify.read())
            if is_gone:  # the folder itself, with the relay; or there were too many events
                self.close()
                self._said = None
                self._wake_up()
            elif self._later is None:
                self._compare()

    def _compare(self) -> None:
        self._later = None
        now, said = asyncio.get_running_loop().time(), _said(self._look())
        if said == self._said:
            return
        if self._woke_s is not None and now < self._woke_s + self._apart_s:
            self._later = asyncio.get_running_loop().call_at(self._woke_s + self._apart_s, self._compare)
            return
        self._said = said
        self._wake_up()

    def _wake_up(self) -> None:
        self._woke_s = asyncio.get_running_loop().time()
        self._wake(Reason.RELAY)


def _said(state: RelayState | None) -> _Said:
    if state is None:
        return None
    return (state.failed.number if state.failed is not None else 0), frozenset(one.source for one in state.refused)

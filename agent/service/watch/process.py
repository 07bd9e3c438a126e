"""Wakes when dockerd ends, by a descriptor of its process: pidfd_open(2).

It tells at once, whatever becomes of systemd's link of the start meanwhile. Not known here: why it ended.
"""

from __future__ import annotations

import asyncio
import os

from agent.service.watch.wakeups import Wake
from agent.values.reason import Reason


class ProcessWatch:
    """Of one process at a time, until it is closed."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._pid = 0
        self._descriptor: int | None = None

    def follow(self, pid: int) -> None:
        """This one from now on; 0: none. Of the one that is followed already it is no news that it has ended."""
        if pid == self._pid:
            return
        self.close()
        self._pid = pid
        if not pid:
            return
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended since it was seen
            self._wake(Reason.FILES)
            return
        except OSError:  # no kernel for it: the link and the clock tell
            return
        self._loop.add_reader(self._descriptor, self._ended)

    def close(self) -> None:
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._pid, self._descriptor = 0, None

    def _ended(self) -> None:
        pid = self._pid
        self.close()
        self._pid = pid
        self._wake(Reason.FILES)

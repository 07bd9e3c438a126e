"""Wakes when dockerd ends, with a descriptor of its process: pidfd_open(2).

That works at once, whatever becomes of the link that systemd keeps for the start. Not known here: why it ended.
"""

from __future__ import annotations

import asyncio
import os

from agent.service.watch.wakeups import Wake
from agent.values.reason import Reason


class ProcessWatch:
    """Watches one process at a time, until it is closed."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._pid = 0
        self._descriptor: int | None = None

    def follow(self, pid: int) -> None:
        """Watch this process from now on; 0: none. If it is watched already and has ended, that does not wake again."""
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
        except OSError:  # an old kernel: the link and the timer show it
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

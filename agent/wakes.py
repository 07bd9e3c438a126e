"""Everything that wakes the service on this host, in one place to wait at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.watch.netlink import NetworkWatch
from agent.watch.paths import FileWatch
from agent.watch.resume import ResumeWatch
from agent.watch.timer import Timer
from agent.watch.wakeups import Reason, Wakeups

SETTLED_AT_MOST_S: Final = 3.0  # a link that never comes to rest is looked at all the same


class HostWakes:
    """Network, files, resume and the clock; closed when the service ends."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._network = NetworkWatch(self._wakeups.wake)
        self._resume = ResumeWatch(self._wakeups.wake)
        self._timer = Timer(self._wakeups.wake)
        self._files = FileWatch(self._wakeups.wake)

    def request(self) -> None:
        """Somebody asks for a pass."""
        self._wakeups.wake(Reason.REQUEST)

    def watch(self, files: Sequence[Path]) -> None:
        self._files.watch(files)

    async def next(self, at: float | None) -> frozenset[Reason]:
        """Why it is time to look again, once that has come to rest."""
        self._timer.set(at)
        why = await self._wakeups.next()
        self._resume.look()  # a timer that was slept through may be the first to tell
        if Reason.NETWORK not in why:
            return why
        # A storm of containers coming and going costs nothing while nobody reads what it says (FACTS 22).
        self._network.pause()
        try:
            return why | await self._wakeups.settled(at_most_s=SETTLED_AT_MOST_S)
        finally:
            self._network.resume()

    def close(self) -> None:
        for watch in (self._files, self._timer, self._resume, self._network):
            watch.close()

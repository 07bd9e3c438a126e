"""Wakes when the kernel announces a change of its network.

The next look finds out what changed. Joined are the groups whose messages can mean another network (FACTS 22); that of
neighbours only while a MAC is missing, for its messages never end.
"""

from __future__ import annotations

import asyncio

from agent.see.announcements import Announcements, MulticastGroup
from agent.service.watch.wakeups import Wake
from agent.values.reason import Reason


class NetworkWatch:
    """Wakes until it is closed, except while it is paused."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._is_paused = False
        self._kernel = Announcements(group for group in MulticastGroup if group is not MulticastGroup.NEIGHBOURS)
        self._loop.add_reader(self._kernel, self._wake_if_told)

    def pause(self) -> None:
        """For the time it settles: messages cost nothing until `resume`, and an overflow counts as a message."""
        if not self._is_paused:
            self._is_paused = True
            self._loop.remove_reader(self._kernel)

    def resume(self) -> None:
        """One wake-up, if there were messages meanwhile."""
        if self._is_paused:
            self._is_paused = False
            self._wake_if_told()
            self._loop.add_reader(self._kernel, self._wake_if_told)

    def follow_neighbours(self) -> None:
        """Also wake for neighbours, until `ignore_neighbours`."""
        self._kernel.join(MulticastGroup.NEIGHBOURS)

    def ignore_neighbours(self) -> None:
        self._kernel.leave(MulticastGroup.NEIGHBOURS)

    def close(self) -> None:
        if self._kernel.fileno() >= 0:
            self._loop.remove_reader(self._kernel)
            self._kernel.close()

    def _wake_if_told(self) -> None:
        if self._kernel.drain():
            self._wake(Reason.NETWORK)

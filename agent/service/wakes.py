"""Everything that wakes the service on this host, in one place to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from agent.service.watch.homes import HomeWatch
from agent.service.watch.netlink import NetworkWatch
from agent.service.watch.paths import FileWatch
from agent.service.watch.process import ProcessWatch
from agent.service.watch.proxy import IsMeant, ProxyWatch
from agent.service.watch.relay import RelayWatch
from agent.service.watch.resume import ResumeWatch
from agent.service.watch.timer import Timer
from agent.service.watch.unwatched import Unwatched
from agent.service.watch.wakeups import Wakeups
from agent.values.listening import LocalProxy
from agent.values.reason import Reason
from agent.values.relay import RelayState

SHORTEST_PAUSE_S: Final = 0.02  # a link comes a moment before its address and its route, and a move is all of them
LONGEST_PAUSE_S: Final = 3.0  # while containers come and go, a real change is seen at most this late
_STORM_S: Final = 1.0  # messages that come again this soon are a storm


class HostWakes:
    """Network, files, resume, the clock, and a proxy on this host; closed when the service ends.

    The first message from the network wakes the service at once. If more follow, they are left unread for a while,
    longer each time: a storm of containers costs next to nothing (FACTS 22), and the first message of a move is seen.
    `is_meant`: whether the process that listens at a proxy's address belongs to the owner the policy names.
    """

    def __init__(self, is_meant: IsMeant) -> None:
        self._wakeups = Wakeups()
        self._bridges = asyncio.Event()
        self._network = NetworkWatch(self._network_told)
        self._resume = ResumeWatch(self._wakeups.wake)
        self._timer = Timer(self._wakeups.wake)
        self._files = FileWatch(self._wakeups.wake)
        self.homes = HomeWatch(self._wakeups.wake)
        self._dockerd = ProcessWatch(self._wakeups.wake)
        self._are_neighbours_followed = False
        self._proxy = ProxyWatch(self._wakeups.wake, is_meant)
        self._relay = RelayWatch(self._wakeups.wake, somebody_waits=self._bridges.set)
        self._pause_s = SHORTEST_PAUSE_S
        self._listening_since_s = asyncio.get_running_loop().time() - _STORM_S
        self._listening: asyncio.TimerHandle | None = None

    def request(self) -> None:
        """A person asks for a pass."""
        self._wakeups.wake(Reason.REQUEST)

    def came_late(self) -> None:
        """A home that was slow has answered."""
        self._wakeups.wake(Reason.FILES)

    def watch(self, files: Sequence[Path]) -> None:
        self._files.watch(files)

    def follow(self, pid: int) -> None:
        """Wake when this dockerd ends; 0: none is running."""
        self._dockerd.follow(pid)

    def follow_neighbours(self, *, are_followed: bool) -> None:
        """Whether to wake when a MAC address becomes known."""
        if are_followed is self._are_neighbours_followed:
            return
        self._are_neighbours_followed = are_followed
        if are_followed:
            self._network.follow_neighbours()
        else:
            self._network.ignore_neighbours()

    def hold(self, proxies: Collection[LocalProxy], again_s: float) -> None:
        self._proxy.hold(proxies, again_s)

    def heed_relay(self, folder: Path | None, look: Callable[[], RelayState | None]) -> None:
        """Wake by what the relay says in this folder; None: there is no relay. `look`: what it says."""
        self._relay.follow(folder, look)

    @property
    def unwatched(self) -> Unwatched:
        both = {**self._files.unwatched, **self.homes.unwatched}
        return Unwatched(both, self._files.limit or self.homes.limit)

    async def next(self, at: float | None) -> frozenset[Reason]:
        """Wait until it is time to look again; why."""
        self._timer.set(at)
        why = await self._wakeups.next()
        self._resume.look()  # a timer that expired during suspend may be the first sign
        if Reason.NETWORK in why:
            self._rest()
        return why

    async def interrupted(self) -> Reason:
        """Wait for what a pass that only looks must not delay.

        A message from the network is consumed; a request stays for `next`.
        """
        await self._wakeups.arrival(Reason.NETWORK, Reason.REQUEST)
        if Reason.REQUEST in self._wakeups.pending:
            return Reason.REQUEST
        self._wakeups.take(Reason.NETWORK)
        self._rest()
        return Reason.NETWORK

    async def files_told(self) -> None:
        """Wait until a watched file changes, also during a pass; `next` still returns it."""
        await self._wakeups.told(Reason.FILES)

    async def bridges_told(self) -> None:
        """Wait until there may be a bridge of Docker's that is new, or somebody waits at one."""
        await self._bridges.wait()
        self._bridges.clear()

    def _network_told(self, reason: Reason) -> None:
        self._bridges.set()
        self._wakeups.wake(reason)

    def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        watches = (
            self._dockerd,
            self._files,
            self.homes,
            self._proxy,
            self._relay,
            self._timer,
            self._resume,
            self._network,
        )
        for watch in watches:
            watch.close()

    def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        is_storm = loop.time() < self._listening_since_s + _STORM_S
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S) if is_storm else SHORTEST_PAUSE_S
        self._network.pause()
        if self._listening is not None:
            self._listening.cancel()
        self._listening = loop.call_later(self._pause_s, self._listen)

    def _listen(self) -> None:
        self._listening_since_s = asyncio.get_running_loop().time()
        self._network.resume()

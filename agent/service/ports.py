"""What the running agent needs from outside, so that a test can hand in another one.

`wakes.py` is the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from agent.service.watch.unwatched import Unwatched
from agent.values.listening import LocalProxy
from agent.values.reason import Reason
from agent.values.relay import RelayState


class Wakes(Protocol):
    """What wakes the service."""

    async def next(self, at: float | None) -> frozenset[Reason]:
        """Wait until something changes, at most until `at` (CLOCK_BOOTTIME); why it is time to look."""
        ...

    async def interrupted(self) -> Reason:
        """Wait for what a pass that only looks must not delay.

        NETWORK, which is consumed, or REQUEST, which `next` still returns.
        """
        ...

    async def files_told(self) -> None:
        """Wait until a watched file changes, also during a pass; `next` still returns it."""
        ...

    async def bridges_told(self) -> None:
        """Wait until the relay may have to be told of a network of Docker's, also during a pass. None is missed."""
        ...

    def watch(self, files: Sequence[Path]) -> None:
        """Wake when one of these files changes."""
        ...

    def follow(self, pid: int) -> None:
        """Wake when this process ends; 0: follow none."""
        ...

    def follow_neighbours(self, *, are_followed: bool) -> None:
        """Whether to wake when a MAC address becomes known."""
        ...

    def hold(self, proxies: Collection[LocalProxy], again_s: float) -> None:
        """Wake when one of these proxies on this host ends.

        `again_s`: the shortest time between two connections to one proxy.
        """
        ...

    def heed_relay(self, folder: Path | None, look: Callable[[], RelayState | None]) -> None:
        """Wake by what the relay says in this folder; None: there is no relay. `look`: what it says."""
        ...

    def request(self) -> None:
        """Wake at once: a person asked."""
        ...

    @property
    def unwatched(self) -> Unwatched:
        """Which of the watched files nothing reports changes of."""
        ...

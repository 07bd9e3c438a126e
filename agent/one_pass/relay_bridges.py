"""Which bridges the relay lets nobody in from: Docker made their networks with `--internal`, so that nothing leads out.

Docker is asked only if there is a bridge that it has not listed yet, so a pass that finds nothing new asks nothing. A
network cannot become internal, or stop being so: it is recreated, and so is its bridge. Docker makes the bridge before
it lists the network, and other programs make bridges too: so Docker is asked again for a while about one that it does
not list. A bridge without a name of Docker's making may be older than its network, and get another one: Docker is
asked about these once in a while.
Not known here: how Docker is asked (`docker/networks.py`), and how the relay knows which bridge a peer is behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec

from agent.one_pass.aside import aside
from agent.see import netlink
from agent.see.netlink import NetlinkFailed
from agent.see.netlink_messages import Link
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.relay import bridge_of, is_named_by_docker

LISTED_WITHIN_S: Final = 60.0
OTHERS_AGAIN_S: Final = 60.0
_MOST: Final = 1000

Ask = Callable[[], Awaitable[Mapping[str, bool] | None]]


class _Known(msgspec.Struct, frozen=True):
    since: float  # CLOCK_BOOTTIME
    is_internal: bool | None = None  # None: Docker does not list it
    is_old: bool = False  # an earlier agent, or this one by an earlier policy, has told of it as one that leads out


class Bridges:
    """Of one host."""

    def __init__(
        self,
        ask: Ask,
        there: Callable[[], Iterable[Link]] = netlink.bridges,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`ask`: by name, whether it is internal; None: not known now. `there`: those of the kernel."""
        self._ask = ask
        self._there = there
        self._clock = clock
        self._known: dict[tuple[int, str], _Known] | None = None
        self._asked = 0.0  # when Docker was asked last
        self._looking = asyncio.Lock()  # what is heard later counts

    @property
    def internal(self) -> tuple[str, ...] | None:
        """Their names; None: not known yet."""
        if self._known is None:
            return None
        return tuple(sorted(name for (_, name), one in self._known.items() if one.is_internal))[:_MOST]

    @property
    def told(self) -> tuple[str, ...] | None:
        """Those of which it is known whether they lead out, as `bridge_of` names them; None: not known yet.

        A bridge that is not listed after a while is not Docker's.
        """
        if self._known is None:
            return None
        now = self._clock.boottime_s()
        told = (bridge for bridge, one in self._known.items() if one.is_old or not _is_open(one, now))
        return tuple(bridge_of(*bridge) for bridge in sorted(told))[:_MOST]

    async def look(self, leading_out: Collection[str] = ()) -> None:
        """Learn of those that are new, and forget those that are gone.

        `leading_out`: what was told before of those that lead somewhere, as `bridge_of` names them.
        """
        async with self._looking:
            await self._look(leading_out)

    async def _look(self, leading_out: Collection[str]) -> None:
        try:
            there = {(link.index, link.name) for link in await aside(self._there)}
        except NetlinkFailed:  # the next pass looks again
            return
        known, now = self._known or {}, self._clock.boottime_s()
        if self._known is not None:
            self._known = {bridge: one for bridge, one in known.items() if bridge in there}
            if not any(_is_open(known.get(bridge), now) or self._is_due(bridge, now) for bridge in there):
                return
        self._asked = now  # also one that hangs is not asked in each pass, where nothing is new
        listed = await self._ask()
        if listed is not None:
            found = {
                bridge: known.get(bridge, _Known(now, is_old=bridge_of(*bridge) in leading_out)) for bridge in there
            }
            self._known = {
                bridge: msgspec.structs.replace(one, is_internal=listed.get(bridge[1])) for bridge, one in found.items()
            }

    def _is_due(self, bridge: tuple[int, str], now: float) -> bool:
        return now >= self._asked + OTHERS_AGAIN_S and not is_named_by_docker(bridge[1])


def _is_open(known: _Known | None, now: float) -> bool:
    return known is None or (known.is_internal is None and now < known.since + LISTED_WITHIN_S)

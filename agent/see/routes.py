"""What the routes say: the gateways of each interface, and which way the world lies.

Pure: netlink's answers come in. Which way the world lies is the kernel's answer to a look-up, not what a reader of the
routing table would conclude: WireGuard keeps its default route in a table of its own, OpenVPN has two halves of one,
and rules choose between them (FACTS 27, 29).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agent.see.netlink_messages import Route
from agent.values.snapshot import Way

# Public addresses that nobody routes apart from the rest, as VPNs and filters do with 1.1.1.1 or 8.8.8.8: of a root
# server. Nothing is sent to them.
WORLD_IPV4: Final = "198.41.0.4"
WORLD_IPV6: Final = "2001:503:ba3e::2:30"


def way(route: Route | None, names: Mapping[int, str]) -> Way | None:
    """The kernel's answer, with the interface by name."""
    if route is None or not route.hops:
        return None
    hop = route.hops[0]  # a look-up answers with the one hop that it chose
    return Way(_name(hop.interface, names), hop.gateway, route.source, route.table)


def gateways(routes: Iterable[Route | None], names: Mapping[int, str]) -> dict[str, tuple[str, ...]]:
    """By interface, the gateways of these routes: of all default routes, and of the ways to the world."""
    found: dict[str, set[str]] = {}
    for route in routes:
        for hop in route.hops if route else ():
            if hop.gateway is not None:
                found.setdefault(_name(hop.interface, names), set()).add(hop.gateway)
    return {name: tuple(sorted(addresses)) for name, addresses in found.items()}


def _name(index: int, names: Mapping[int, str]) -> str:
    return names.get(index, f"#{index}")  # it came after the links were told: the next look will name it

"""What the routes say: the gateways of each interface, and the route to the world.

Pure: netlink's answers are arguments. The route to the world is the kernel's answer to a look-up, not a conclusion from
the routing table: WireGuard keeps its default route in a table of its own, OpenVPN uses two halves of one, and rules
choose between them (FACTS 27, 29).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agent.see.netlink_messages import Route
from agent.values.snapshot import Way

# Public addresses that are not routed differently from the rest, as VPNs and filters do with 1.1.1.1 or 8.8.8.8: those
# of a DNS root server. Nothing is sent to them.
WORLD_IPV4: Final = "198.41.0.4"
WORLD_IPV6: Final = "2001:503:ba3e::2:30"


def way(route: Route | None, names: Mapping[int, str]) -> Way | None:
    """The kernel's answer, with the name of the interface."""
    if route is None or not route.hops:
        return None
    hop = route.hops[0]  # a look-up returns only the hop that it chose
    return Way(_name(hop.interface, names), hop.gateway, route.source, route.table)


def gateways(routes: Iterable[Route | None], names: Mapping[int, str]) -> dict[str, tuple[str, ...]]:
    """The gateways of these routes, by interface: all default routes, and the routes to the world."""
    found: dict[str, set[str]] = {}
    for route in routes:
        for hop in route.hops if route else ():
            if hop.gateway is not None:
                found.setdefault(_name(hop.interface, names), set()).add(hop.gateway)
    return {name: tuple(sorted(addresses)) for name, addresses in found.items()}


def _name(index: int, names: Mapping[int, str]) -> str:
    return names.get(index, f"#{index}")  # it appeared after the links were read: the next look has its name

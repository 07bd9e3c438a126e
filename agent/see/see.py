"""Takes a snapshot of the host's network.

Interfaces, routes and neighbours are the real ones, whatever the root; only files are taken below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.paths import Paths
from agent.see import neighbours, netlink, routes
from agent.see.counting import Asked, counting
from agent.see.interfaces import Addresses, addresses
from agent.see.neighbours import Gateway
from agent.see.netlink_messages import Link
from agent.see.resolver import resolver
from agent.see.wifi import ssids
from agent.snapshot import Interface, Snapshot


def _never(_name: str) -> bool:
    return False


async def see(paths: Paths, with_macs: bool, is_named: Asked = _never) -> Snapshot:
    """The network as it is now: in milliseconds, unless MACs are wanted and a gateway keeps its own to itself."""
    links = netlink.links()
    names = {link.index: link.name for link in links}
    defaults = netlink.default_routes()
    to_ipv4, to_ipv6 = netlink.way_to(routes.WORLD_IPV4), netlink.way_to(routes.WORLD_IPV6)
    gateways = routes.gateways([*defaults, to_ipv4, to_ipv6], names)
    leaving = {hop.interface for way in (to_ipv4, to_ipv6) if way for hop in way.hops}
    counted = counting(links, leaving, is_named)
    macs = await _macs(counted, gateways) if with_macs else {}
    by_name = addresses([link.name for link in counted], netlink.labels())
    networks = ssids()
    resolved = resolver(paths)
    return Snapshot(
        tuple(
            _interface(
                link,
                networks.get(link.name),
                by_name[link.name],
                gateways.get(link.name, ()),
                macs.get(link.name, ()),
            )
            for link in counted
        ),
        resolved.servers,
        resolved.search,
        routes.way(to_ipv4, names),
        routes.way(to_ipv6, names),
    )


def _interface(
    link: Link, ssid: str | None, has: Addresses, gateways: tuple[str, ...], macs: tuple[str, ...]
) -> Interface:
    return Interface(
        link.name,
        link.has_carrier,
        ssid=ssid,
        ipv4=has.ipv4,
        ipv6_64s=has.ipv6_64s,
        gateways=gateways,
        gateway_macs=macs,
    )


async def _macs(links: Sequence[Link], gateways: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """By interface, of its gateways. A link without a carrier would be waited for in vain, a tunnel has none."""
    asked = {
        Gateway(link.index, address): link.name
        for link in links
        if link.has_carrier and link.has_neighbours
        for address in gateways.get(link.name, ())
    }
    found: dict[str, set[str]] = {}
    for gateway, mac in (await neighbours.macs(asked)).items():
        found.setdefault(asked[gateway], set()).add(mac)
    return {name: tuple(sorted(macs)) for name, macs in found.items()}

"""Takes a snapshot of the host's network.

Interfaces, routes and neighbours are the real ones, whatever the root; only files are read below it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from agent.see import neighbours, netlink, routes
from agent.see.asking import Asking, at_once
from agent.see.counting import CountedInterface, Named, counting
from agent.see.interfaces import Addresses, addresses
from agent.see.neighbours import Gateway
from agent.see.netlink_messages import Link, Route
from agent.see.resolver import resolver
from agent.see.wifi import ssids
from agent.values.paths import Paths
from agent.values.snapshot import Interface, Snapshot


def _never(_name: str) -> bool:
    return False


class _Ways(msgspec.Struct, frozen=True):
    """The interfaces, and the routes out."""

    links: list[Link]
    defaults: list[Route]
    to_ipv4: Route | None
    to_ipv6: Route | None


async def see(
    paths: Paths,
    *,
    with_macs: bool,
    is_named: Named = _never,
    to_upstreams: Callable[[], Collection[str]] = tuple,
    asking: Asking = at_once,
) -> Snapshot:
    """The network as it is now. It takes milliseconds, unless MACs are wanted and a gateway does not answer.

    `asking`: how the kernel is asked what it may be long about.
    """
    found = await asking(_ways)
    names = {link.index: link.name for link in found.links}
    gateways = routes.gateways([*found.defaults, found.to_ipv4, found.to_ipv6], names)
    leaving = {hop.interface for way in (found.to_ipv4, found.to_ipv6) if way for hop in way.hops}
    counted = counting(found.links, leaving, is_named, to_upstreams)
    macs = await _macs(counted, gateways, asking) if with_macs else {}
    by_name, networks = await asking(lambda: (addresses([one.link.name for one in counted], netlink.labels()), ssids()))
    resolved = resolver(paths)
    return Snapshot(
        tuple(
            _interface(one, by_name[one.link.name], networks=networks, gateways=gateways, macs=macs) for one in counted
        ),
        dns_servers=resolved.servers,
        dns_search=resolved.search,
        way_ipv4=routes.way(found.to_ipv4, names),
        way_ipv6=routes.way(found.to_ipv6, names),
    )


def _ways() -> _Ways:
    return _Ways(
        netlink.links(),
        netlink.default_routes(),
        netlink.way_to(routes.WORLD_IPV4),
        netlink.way_to(routes.WORLD_IPV6),
    )


def _interface(
    counted: CountedInterface,
    has: Addresses,
    *,
    networks: Mapping[str, str],
    gateways: Mapping[str, tuple[str, ...]],
    macs: Mapping[str, tuple[str, ...]],
) -> Interface:
    name = counted.link.name
    return Interface(
        name,
        counted.link.has_carrier,
        ssid=networks.get(name),
        ipv4=has.ipv4,
        ipv6_64s=has.ipv6_64s,
        gateways=gateways.get(name, ()),
        gateway_macs=macs.get(name, ()),
        is_ground=counted.is_ground,
        is_by_upstream=counted.is_by_upstream,
    )


async def _macs(
    counted: Sequence[CountedInterface], gateways: Mapping[str, tuple[str, ...]], asking: Asking
) -> dict[str, tuple[str, ...]]:
    """The MACs of the gateways, by interface. Without a carrier there is no answer, and a tunnel has no MACs."""
    asked = {
        Gateway(link.index, address): link.name
        for link in (one.link for one in counted)
        if link.has_carrier and link.has_neighbours
        for address in gateways.get(link.name, ())
    }
    found: dict[str, set[str]] = {}
    for gateway, mac in (await neighbours.macs(asked, asking)).items():
        found.setdefault(asked[gateway], set()).add(mac)
    return {name: tuple(sorted(macs)) for name, macs in found.items()}

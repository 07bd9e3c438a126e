"""Where the host is, whatever its addresses and its DNS are at the moment: a hole in them is not a move.

Pure. Not known here: what a hole is forgiven (`history.py`, `choose.py`).
"""

from __future__ import annotations

import msgspec

from agent.policy import Network
from agent.snapshot import Interface, Snapshot, Way


class Place(msgspec.Struct, frozen=True):
    """The policy's network, and all of the host's but addresses and DNS: links, SSIDs, gateways and ways."""

    network: str
    around: Snapshot


def place_of(network: Network, snapshot: Snapshot) -> Place | None:
    """None: neither SSID nor gateway tells this place from others, and so its addresses are all that does."""
    links = tuple(_without_addresses(interface) for interface in snapshot.interfaces if interface.is_online)
    if not any(link.ssid or link.gateways for link in links):
        return None
    around = msgspec.structs.replace(
        snapshot,
        interfaces=links,
        dns_servers=(),
        dns_search=(),
        way_ipv4=_without_source(snapshot.way_ipv4),
        way_ipv6=_without_source(snapshot.way_ipv6),
    )
    return Place(network.name, around)


def _without_addresses(interface: Interface) -> Interface:
    return msgspec.structs.replace(interface, ipv4=(), ipv6_64s=())


def _without_source(way: Way | None) -> Way | None:
    return way and msgspec.structs.replace(way, source=None)

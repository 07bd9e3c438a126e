"""What tells two places apart for what is kept of them: the host's way to the world, and no more.

Pure. The rest of the network does not count: starting a virtual machine adds a bridge, and a new lease is another
address, while the place is the same. Not known here: what is kept (`one_pass/`).
"""

from __future__ import annotations

import ipaddress

from agent.values.snapshot import Interface, Snapshot


def way_out(snapshot: Snapshot) -> tuple[object, ...]:
    """How the host reaches the world, and which routes a VPN changed: just enough to tell two places apart.

    IPv6 comes a moment later than IPv4, and goes again: where there is IPv4, it says nothing.
    """
    way = snapshot.way_ipv4 or snapshot.way_ipv6
    online = [interface for interface in snapshot.interfaces if interface.is_online]
    # Without a way to the world, or by an interface that does not count, any of them may lead to the proxy.
    leaving = [interface for interface in online if way is not None and interface.name == way.interface] or online
    links = [(link.name, link.ssid, _networks(link), _gateways(link), link.gateway_macs) for link in leaving]
    return way and (way.interface, way.gateway, way.table), links, snapshot.ways


def _networks(interface: Interface) -> list[str]:
    """The networks, not the addresses: a new lease in the same network is the same place."""
    return sorted({str(ipaddress.ip_interface(text).network) for text in interface.ipv4 or interface.ipv6_64s})


def _gateways(interface: Interface) -> list[str]:
    ipv4 = [gateway for gateway in interface.gateways if ":" not in gateway]
    return sorted(ipv4 or interface.gateways)

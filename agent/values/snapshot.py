"""What the host's network looks like at one moment; its fingerprint tells two apart.

Values only: `see/` looks at the host. No lifetimes, no metrics and no full IPv6 addresses are in here: they change
while the network stays the same.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress

import msgspec


class Interface(msgspec.Struct, frozen=True):
    """One interface that counts."""

    name: str
    has_carrier: bool = True
    ssid: str | None = None
    ipv4: tuple[str, ...] = ()  # sorted, "10.10.0.7/16"
    ipv6_64s: tuple[str, ...] = ()  # sorted, "2001:db8:1:2::/64": the addresses themselves rotate
    gateways: tuple[str, ...] = ()  # sorted, of the default routes that leave here, whatever their table
    gateway_macs: tuple[str, ...] = ()  # sorted, lower case; only if the policy names a MAC
    is_ground: bool = True  # hardware, or a way leads out there; but a tunnel stays up without anything below it
    is_by_upstream: bool = False  # counts for no other reason than that the way to an upstream leads out there

    @property
    def is_online(self) -> bool:
        """A carrier, and an address that is not link-local."""
        return self.has_carrier and not all(_is_link_local(text) for text in (*self.ipv4, *self.ipv6_64s))


@functools.lru_cache(maxsize=256)  # asked at each look, of the same few
def _is_link_local(address: str) -> bool:
    return ipaddress.ip_interface(address).ip.is_link_local


class Way(msgspec.Struct, frozen=True):
    """The kernel's answer to "which way to a public address?" (FACTS 29)."""

    interface: str
    gateway: str | None = None
    source: str | None = None
    table: int = 254


class OtherWay(msgspec.Struct, frozen=True):
    """A way that is another now than when its address became known in this network."""

    address: str
    way: Way | None  # None: no way; without its source


class Snapshot(msgspec.Struct, frozen=True):
    """The host's network at one moment."""

    interfaces: tuple[Interface, ...] = ()  # sorted by name
    dns_servers: tuple[str, ...] = ()  # as they are tried; without a scope
    dns_search: tuple[str, ...] = ()  # as they are tried; lower case
    way_ipv4: Way | None = None  # None: no way
    way_ipv6: Way | None = None
    ways: tuple[OtherWay, ...] = ()  # sorted; to hosts of the policy: a VPN may bring nothing but a route (FACTS 69)

    @property
    def is_offline(self) -> bool:
        """Nothing is online but what stays up by itself. No default route is not offline: some offices have none."""
        return not any(interface.is_online and interface.is_ground for interface in self.interfaces)

    @property
    def dns_elsewhere(self) -> tuple[str, ...]:
        """The servers that are not this host: libc asks 127.0.0.1 where none is named, and resolved's stub stays."""
        return tuple(server for server in self.dns_servers if not ipaddress.ip_address(server).is_loopback)

    @property
    def _telling(self) -> tuple[Interface, ...]:
        """Those that tell places apart.

        Without a carrier or an address an interface says nothing about the network; and one that counts by the way to
        an upstream alone does so from the moment when a name became known, which is no change (its ways tell).
        """
        online = (one for one in self.interfaces if one.is_online and not one.is_by_upstream)
        return tuple(msgspec.structs.replace(one, is_ground=True) for one in online)

    def around(self) -> Snapshot | None:
        """All of it but addresses and DNS: links, SSIDs, gateways and ways.

        None: neither SSID nor gateway tells it from others, and so its addresses are all that does.
        """
        links = tuple(msgspec.structs.replace(interface, ipv4=(), ipv6_64s=()) for interface in self._telling)
        if not any(link.ssid or link.gateways for link in links):
            return None
        return msgspec.structs.replace(
            self,
            interfaces=links,
            dns_servers=(),
            dns_search=(),
            way_ipv4=_without_source(self.way_ipv4),
            way_ipv6=_without_source(self.way_ipv6),
        )

    def fingerprint(self) -> str:
        """Twelve hex digits that are the same exactly while the host stays in the same network."""
        # An IPv6 source rotates; of two links with DNS, the one that came up first may stand first.
        seen = msgspec.structs.replace(
            self,
            interfaces=self._telling,
            dns_servers=tuple(sorted(self.dns_servers)),
            dns_search=tuple(sorted(self.dns_search)),
            way_ipv6=_without_source(self.way_ipv6),
        )
        return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()[:12]


def _without_source(way: Way | None) -> Way | None:
    return way and msgspec.structs.replace(way, source=None)

"""What the host's network looks like at one moment; its fingerprint tells two apart.

Values only: `see/` looks at the host. No lifetimes, no metrics and no full IPv6 addresses are in here: they change
while the network stays the same.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import re
from typing import Final

import msgspec

# Interfaces of containers and virtual machines never count: Docker makes them by itself (FACTS 17).
_OF_CONTAINERS: Final = re.compile(
    r"lo|docker0|docker_gwbridge|br-[0-9a-f]{12}|(?:veth|virbr|cni|cali|flannel|podman).*", re.DOTALL
)


def counts(interface: str) -> bool:
    """Whether an interface of that name says anything about where the host is."""
    return _OF_CONTAINERS.fullmatch(interface) is None


class Interface(msgspec.Struct, frozen=True):
    """One interface that counts."""

    name: str
    has_carrier: bool = True
    ssid: str | None = None
    ipv4: tuple[str, ...] = ()  # sorted, "10.10.0.7/16"
    ipv6_64s: tuple[str, ...] = ()  # sorted, "2001:db8:1:2::/64": the addresses themselves rotate
    gateways: tuple[str, ...] = ()  # sorted, of the default routes that leave here, whatever their table
    gateway_macs: tuple[str, ...] = ()  # sorted, lower case; only if the policy names a MAC

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
        """No interface that counts is online. No default route is not offline: locked-down offices have none."""
        return not any(interface.is_online for interface in self.interfaces)

    def around(self) -> Snapshot | None:
        """All of it but addresses and DNS: links, SSIDs, gateways and ways.

        None: neither SSID nor gateway tells it from others, and so its addresses are all that does.
        """
        links = tuple(
            msgspec.structs.replace(interface, ipv4=(), ipv6_64s=())
            for interface in self.interfaces
            if interface.is_online
        )
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
        # An interface without a carrier or an address says nothing about the network; an IPv6 source rotates; of two
        # links with DNS, the one that came up first may stand first.
        seen = msgspec.structs.replace(
            self,
            interfaces=tuple(interface for interface in self.interfaces if interface.is_online),
            dns_servers=tuple(sorted(self.dns_servers)),
            dns_search=tuple(sorted(self.dns_search)),
            way_ipv6=_without_source(self.way_ipv6),
        )
        return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()[:12]


def _without_source(way: Way | None) -> Way | None:
    return way and msgspec.structs.replace(way, source=None)

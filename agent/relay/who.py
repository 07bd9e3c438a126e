"""Who may use the relay: this host, and whoever the kernel reaches by a bridge of containers.

A gateway's address answers on every interface (FACTS 211), also to a guest of the same café: so the address that a peer
spoke to says nothing. A connection exists only once our answers reach the peer; so the way that they take tells where
it is, whatever it calls itself. Asked at each connection, so that a network that was a container's a moment ago and is
the café's now is not believed. Only what kind of interface it is, is kept for a minute.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from agent.see import netlink
from agent.see.netlink import NetlinkFailed
from agent.see.netlink_messages import Link, Route
from agent.values.relay import Source

KEPT_S: Final = 60.0
_KEPT: Final = 256  # bridges
_BRIDGE, _VETH = "bridge", "veth"
_DOCKERDS: Final = "127.0.0.1"


class Kernel(Protocol):
    """What is asked."""

    def leads_here(self, address: str, /) -> bool: ...
    def way_to(self, address: str, /) -> Route | None: ...
    def links(self) -> Sequence[Link]: ...
    def default_routes(self) -> Sequence[Route]: ...


class _Kept(msgspec.Struct, frozen=True):
    is_of_containers: bool
    until: float


class Who:
    """Of one relay."""

    def __init__(self, kernel: Kernel = netlink, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._clock = clock
        self._kept: dict[int, _Kept] = {}

    def source(self, peer: str) -> Source | None:
        """As whom this address comes; None: nobody who may."""
        if peer == _DOCKERDS:
            return Source.LOOPBACK
        address = ipaddress.ip_address(peer)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        meant = mapped or address
        if meant.is_loopback:
            return Source.LOOPBACK
        if meant.is_link_local or meant.is_multicast:  # the same on every link
            return None
        # If the kernel cannot be asked, nobody is let in.
        with contextlib.suppress(NetlinkFailed):
            return self._by_its_way(str(meant))
        return None

    def _by_its_way(self, peer: str) -> Source | None:
        if self._kernel.leads_here(peer):  # from elsewhere, the kernel drops what claims to come from here
            return Source.LOOPBACK
        way = self._kernel.way_to(peer)
        if way is None or len(way.hops) != 1 or way.hops[0].gateway is not None:
            return None
        return Source.CONTAINERS if self._is_of_containers(way.hops[0].interface) else None

    def _is_of_containers(self, interface: int) -> bool:
        now = self._clock()
        kept = self._kept.get(interface)
        if kept is None or not kept.is_of_containers or kept.until <= now:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            kept = _Kept(self._looked(interface), now + KEPT_S)
            self._kept[interface] = kept
        return kept.is_of_containers

    def _looked(self, interface: int) -> bool:
        links = self._kernel.links()
        ports = [link.kind for link in links if link.master == interface]
        is_bridge = any(link.index == interface and link.kind == _BRIDGE for link in links)
        if not is_bridge or not ports or any(kind != _VETH for kind in ports):
            return False
        # In an LXC guest the uplink is a veth, too, and may be a port of a bridge.
        return all(hop.interface != interface for route in self._kernel.default_routes() for hop in route.hops)

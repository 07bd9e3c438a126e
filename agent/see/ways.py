"""The routes to the hosts of the policy, and which of them have changed.

A VPN may bring nothing but routes or rules to a few networks: the route to the world stays the same (FACTS 69). So the
kernel is asked about every address that the agent itself connects to. A route counts from the moment when its address
became known in this network: a name that resolves for the first time, or to one more address, is no change. The routes
stay known while only addresses and DNS change here: else a gap in those would look like the end of a VPN of routes.
Not known here: which hosts these are, and what a change means.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from agent.see import netlink, routes
from agent.values.snapshot import OtherWay, Snapshot, Way

_HOSTS: Final = 50  # each address is a question of some 50 µs, at each look
_ADDRESSES: Final = 8  # of a host; a CDN has more, behind the same way

Ask = Callable[[str], Way | None]


def way_now(address: str) -> Way | None:
    """The kernel's answer for that address; without the source address, which rotates."""
    route = netlink.way_to(address)
    names: dict[int, str] = {}
    for hop in route.hops if route else ():
        with contextlib.suppress(OSError):  # it has just gone: the next look finds another route
            names[hop.interface] = socket.if_indextoname(hop.interface)
    way = routes.way(route, names)
    return way and msgspec.structs.replace(way, source=None)


class Ways:
    """The routes of one network at a time. Lives longer than a policy."""

    def __init__(self, ask: Ask = way_now) -> None:
        self._ask = ask
        self._base: Snapshot | str | None = None  # the network without these routes
        self._first: dict[str, dict[str, Way | None]] = {}  # by host and address: the answer when it became known

    def note_resolved(self, host: str, addresses: Iterable[str]) -> None:
        """The host was resolved: from now on its routes count."""
        if host not in self._first and len(self._first) >= _HOSTS:
            return
        known = self._first.setdefault(host, {})
        for address in addresses:
            if address in known or len(known) >= _ADDRESSES or not _has_a_way(address):
                continue
            with contextlib.suppress(netlink.NetlinkFailed):  # it becomes known with the next resolution
                known[address] = self._ask(address)

    def leaving(self, hosts: Iterable[str]) -> frozenset[str]:
        """The interfaces to these hosts, as far as their addresses are known."""
        known = {host: self._first.get(host, ()) or ((host,) if _has_a_way(host) else ()) for host in hosts}
        found: set[str] = set()
        for address in {address for addresses in known.values() for address in addresses}:
            with contextlib.suppress(netlink.NetlinkFailed):
                way = self._ask(address)
                found.update({way.interface} if way is not None else ())
        return frozenset(found)

    def seen(self, snapshot: Snapshot, hosts: Iterable[str]) -> Snapshot:
        """The snapshot with the routes that changed in this network; hosts that are addresses are known at once."""
        if snapshot.is_offline:  # the network that comes back may be the same
            return snapshot
        base = snapshot.around() or snapshot.fingerprint()
        if base != self._base:
            self._base, self._first = base, {}
        for host in hosts:
            if host not in self._first and _is_address(host):
                self.note_resolved(host, [host])
        first = {address: way for known in self._first.values() for address, way in known.items()}
        return msgspec.structs.replace(snapshot, ways=others(first, self._ask))


def others(first: dict[str, Way | None], ask: Ask) -> tuple[OtherWay, ...]:
    """The routes that have changed."""
    now = ((address, ask(address)) for address in sorted(first))
    return tuple(OtherWay(address, way) for address, way in now if way != first[address])


def _has_a_way(address: str) -> bool:
    """Whether the address is beyond this host and the link."""
    if not _is_address(address):
        return False
    ip = ipaddress.ip_address(address)
    return not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

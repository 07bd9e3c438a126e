"""What tells the place where the laptop is now from others, as the `match` of a network.

Pure. One thing that lasts is taken, and what else is there becomes a comment: a match of five keys breaks with the
first access point that is replaced. Not known here: how the policy is written (`decide/first_policy_text.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from agent.values.policy import Address, Mac, Match, Pattern, Subnet
from agent.values.snapshot import Interface, Snapshot

# Search domains that many places have, or that come along to every place.
_EVERYWHERE: Final = (
    "lan", "home", "local", "localdomain", "localhost", "internal", "intranet", "home.arpa",
    "fritz.box", "speedport.ip", "ts.net",
)  # fmt: skip
# Meshes of the user's own, which are up in every place.
_MESHES: Final = ("tailscale", "zt", "nebula", "netbird", "wt")


class Place(msgspec.Struct, frozen=True):
    """One place: the match that is taken, why, and what else it could be known by."""

    match: Match
    because: str
    others: tuple[Match, ...] = ()  # one key each


def place_here(snapshot: Snapshot, tunnels: Collection[str] = (), taken: Sequence[Match] = ()) -> Place | None:
    """None: nothing here lasts, or all of it stands for another network already.

    `tunnels`: interfaces without MACs. `taken`: the matches of the networks that there are.
    """
    here = [interface for interface in snapshot.interfaces if interface.is_online]
    found = [*_domains(snapshot), *_through(here, tunnels), *_gateways(here, snapshot)]
    free = [(match, because) for match, because in found if not _is_taken(match, taken)]
    if not free:
        return None
    match, because = free[0]
    others = (*(other for other, _ in found if other != match), *_besides(here, snapshot))
    return Place(match, because, tuple(other for other in others if not _is_taken(other, taken)))


def _is_taken(match: Match, taken: Iterable[Match]) -> bool:
    return any(one == match for one in taken)


def is_of_a_place(domain: str) -> bool:
    """Whether a search domain is somebody's own, and not the one that a router or a mesh gives to everybody."""
    labels = domain.strip(".").lower()
    return "." in labels and not any(labels == name or labels.endswith(f".{name}") for name in _EVERYWHERE)


def _domains(snapshot: Snapshot) -> list[tuple[Match, str]]:
    real = [domain.strip(".") for domain in snapshot.dns_search if is_of_a_place(domain)]
    return [(Match(dns_search=(Pattern(domain),)), f"the domain {domain} is searched here") for domain in real]


def _through(here: Iterable[Interface], tunnels: Collection[str]) -> list[tuple[Match, str]]:
    """A tunnel that is up is what is special here; the gateway below it is that of home."""
    up = [one.name for one in here if one.name in tunnels and not one.name.startswith(_MESHES)]
    return [(Match(interface=(Pattern(name),)), f"the tunnel {name} is up") for name in up]


def _gateways(here: Iterable[Interface], snapshot: Snapshot) -> list[tuple[Match, str]]:
    """The one that leads to the world first; with its MAC, for half the homes of the world have 192.168.1.1."""
    way = snapshot.way_ipv4 or snapshot.way_ipv6
    first = way.interface if way else ""
    found = []
    for interface in sorted((one for one in here if one.gateways), key=lambda one: one.name != first):
        gateway = min(interface.gateways, key=lambda address: ":" in address)
        macs = tuple(map(Mac, interface.gateway_macs))
        known = f"the gateway {gateway}" + (f" has the MAC {' or '.join(macs)}" if macs else " is here")
        found.append((Match(gateway=(Address(gateway),), gateway_mac=macs), known))
    return found


def _besides(here: Iterable[Interface], snapshot: Snapshot) -> list[Match]:
    """What may change while the place is the same, or be the same in another one."""
    found = []
    for interface in here:
        if interface.ssid and interface.ssid.isprintable():
            found.append(Match(ssid=(Pattern(interface.ssid),)))
        found += [Match(address=(Subnet.parse(address),)) for address in interface.ipv4[:1]]
    if snapshot.dns_elsewhere:
        found.append(Match(dns_server=tuple(map(Address, snapshot.dns_elsewhere[:1]))))
    return found

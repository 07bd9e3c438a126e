"""Where the laptop goes: what it sees of each network, and where names lead there.

Both are simulated, so that a machine without a network shows them, too. What the names lead to is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from agent.values.snapshot import Interface, Snapshot, Way

REGISTRY: Final = "registry.test"
GUEST_PROXY: Final = "guest.test"
PROXY: Final = "proxy.test"


class Ports(msgspec.Struct, frozen=True):
    """The ports on loopback."""

    registry: int
    guest_proxy: int
    proxy: int
    portal: int
    nobody: int


class Place(msgspec.Struct, frozen=True):
    """One network, at one moment."""

    name: str  # of the network, as the policy has it
    about: str
    snapshot: Snapshot
    names: Mapping[str, int]


def home(ports: Ports) -> Place:
    """The registry is reached directly; the office's proxies are unknown."""
    about = "Wi-Fi Attic: no proxy needed, none known"
    return Place("home", about, _wifi("Attic", "192.168.1.23/24", "192.168.1.1"), {REGISTRY: ports.registry})


def office(ports: Ports) -> Place:
    """The firewall rejects what goes to the registry directly; one proxy denies it, one wants a login."""
    names = {REGISTRY: ports.nobody, GUEST_PROXY: ports.guest_proxy, PROXY: ports.proxy}
    about = "Wi-Fi CorpNet-5G: only a proxy with a login leads out"
    return Place("office", about, _wifi("CorpNet-5G", "10.10.0.7/16", "10.10.0.1"), names)


def cafe(ports: Ports) -> Place:
    """The portal answers for every name."""
    names = dict.fromkeys((REGISTRY, GUEST_PROXY, PROXY), ports.portal)
    return Place("café", "Wi-Fi Café Ristretto: a portal answers for everything", _at_the_cafe(), names)


def cafe_once_passed(ports: Ports) -> Place:
    """The same network; the portal lets the laptop through."""
    return Place("café", "the portal is passed; the network is the same", _at_the_cafe(), {REGISTRY: ports.registry})


def _at_the_cafe() -> Snapshot:
    return _wifi("Café Ristretto", "172.16.4.9/22", "172.16.4.1")


def _wifi(ssid: str, address: str, gateway: str) -> Snapshot:
    wlan0 = Interface("wlan0", ssid=ssid, ipv4=(address,), gateways=(gateway,))
    way = Way("wlan0", gateway, address.partition("/")[0])
    return Snapshot(interfaces=(wlan0,), dns_servers=(gateway,), way_ipv4=way)

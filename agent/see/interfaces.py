"""The addresses of the interfaces that count.

With netifaces, one name at a time. Each call reads all of them (FACTS 27), so only those that count are asked for.
Their names do not come from it: netifaces-plus leaks memory with each list that it makes (FACTS 131).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import netifaces

_AF_INET: Final = 2  # Linux's, as netifaces' keys
_AF_INET6: Final = 10

Families = Mapping[int, Sequence[Mapping[str, str]]]


class Netifaces(Protocol):
    """The part of netifaces that is used."""

    def ifaddresses(self, interface: str, /) -> Families: ...


class Addresses(msgspec.Struct, frozen=True):
    """The part of an interface's addresses that stays the same within one network."""

    ipv4: tuple[str, ...] = ()
    ipv6_64s: tuple[str, ...] = ()


def addresses(
    interfaces: Collection[str], labels: Iterable[str] = (), source: Netifaces = netifaces
) -> dict[str, Addresses]:
    """By interface. `labels`: the labels of this host's addresses, of all interfaces."""
    ipv4: dict[str, set[str]] = {name: set() for name in interfaces}
    ipv6: dict[str, set[str]] = {name: set() for name in interfaces}
    for label in {*interfaces, *(label for label in labels if _interface(label) in ipv4)}:
        name, families = _interface(label), _of_one(source, label)
        ipv4[name].update(_with_prefix(entry) for entry in families.get(_AF_INET, ()))
        ipv6[name].update(_64s(entry["addr"] for entry in families.get(_AF_INET6, ())))
    return {name: Addresses(tuple(sorted(ipv4[name])), tuple(sorted(ipv6[name]))) for name in interfaces}


def _of_one(source: Netifaces, label: str) -> Families:
    try:
        return source.ifaddresses(label)
    except ValueError:  # there is no interface of that name, or not any more
        return {}


def _interface(label: str) -> str:
    """Further IPv4 addresses may have a label of their own, `eth0:1`."""
    return label.partition(":")[0]


def _with_prefix(entry: Mapping[str, str]) -> str:
    mask = int(ipaddress.IPv4Address(entry.get("netmask", "255.255.255.255")))
    return f"{entry['addr']}/{mask.bit_count()}"


def _64s(texts: Iterable[str]) -> Iterable[str]:
    """The networks of these addresses; without link-local ones, which say nothing about where the host is."""
    for text in texts:
        address = ipaddress.IPv6Address(text.partition("%")[0])
        if not address.is_link_local:
            yield str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))

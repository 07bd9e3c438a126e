"""Where a container may not go through the relay: to this host, and to what only this host can see.

From a container's own address, this host's loopback and link are out of reach, and so are other container networks:
Docker isolates them where it forwards. Through the relay they would be reachable, because it connects from this host. A
cloud's metadata service, which may contain passwords, is for this host too, and not for its containers.
Pure; the caller asks the kernel what an address is to this host.
Not known here: names. They are looked up first, and each address is judged separately.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from agent.values.listening import IpAddress

Is = Callable[[str], bool]

_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")  # 0.1.2.3 is no address of a host, either
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
# Whose last four bytes are the IPv4 address that a gateway or the kernel takes it for (RFC 6052, 4291, 2765).
_LAST_FOUR: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215: its length is the network's own choice
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214: stands before the last four bytes
# Where clouds tell their machines about themselves, if it is not link-local.
_CLOUDS: Final = (
    ipaddress.ip_network("fd00:a9fe:a9fe::1"),  # Akamai
    ipaddress.ip_network("100.100.100.200"),  # Alibaba
    ipaddress.ip_network("fd00:100::100:200"),
    ipaddress.ip_network("168.63.129.16"),  # Azure
    ipaddress.ip_network("192.0.0.192"),  # Oracle, before 2.0
    ipaddress.ip_network("fd00:c1::a9fe:a9fe"),
    ipaddress.ip_network("fd00:ec2::/32"),  # Amazon
    ipaddress.ip_network("fd00:42::42"),  # Scaleway
    ipaddress.ip_network("fd20:ce::254"),  # Google
)


def literal(host: str) -> IpAddress | None:
    """The address that a host is spelled as, in any spelling that a resolver takes: `127.1`, `0x7f000001`, `[::1]`."""
    text = host.removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        # It takes an address with anything behind a blank, too, but no host has blanks in it.
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


def is_localhost(host: str) -> bool:
    """By its name alone (RFC 6761): libcurl and systemd-resolved ask nobody what `x.localhost` is."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


class Near(NamedTuple):
    """What the kernel says of an address, without a zone."""

    is_own: Is
    is_guest: Is  # this host reaches it by a bridge of containers or virtual machines


def forbidden(address: IpAddress, near: Near) -> str:
    """Why a container may not be connected to it; '' if it may. 198.18.0.0/15 may: fake-IP resolvers answer with it."""
    for meant in _meant(address):
        if meant.is_loopback:
            return "is loopback"
        if meant.is_unspecified or (isinstance(meant, ipaddress.IPv4Address) and meant in _THIS_NETWORK):
            return "means this host"
        if meant.is_link_local:
            return "is link-local"
        if meant.is_multicast or meant == _BROADCAST:
            return "is not a single host"
        if any(meant in network for network in _CLOUDS):
            return "is a cloud's own service for this host"
        text = str(meant).partition("%")[0]
        if near.is_own(text):
            return "is this host"
        if near.is_guest(text):
            return "is a container or guest of this host"
    return ""


def _meant(address: IpAddress) -> tuple[IpAddress, ...]:
    """The address, and the IPv4 addresses within it that a gateway or the kernel would take it for."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    number = int(address)
    is_isatap = number >> 32 & 0xFFFFFFFF in _ISATAP
    if is_isatap or any(address in network for network in _LAST_FOUR):
        return (address, ipaddress.IPv4Address(number & 0xFFFFFFFF))
    if address in _LOCAL_NAT64:
        return (address, *_translated(address.packed))
    return (address,)


def _translated(packed: bytes) -> tuple[IpAddress, ...]:
    """By a prefix of 48, 56, 64 or 96 bits; the ninth byte belongs to none of them (RFC 6052, 2.2)."""
    without_ninth = packed[:8] + packed[9:]
    read = (without_ninth[6:10], without_ninth[7:11], without_ninth[8:12], packed[12:])
    return tuple(ipaddress.IPv4Address(each) for each in read if each[0])  # else it was read by another length

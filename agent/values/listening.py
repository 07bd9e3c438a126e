"""Who listens on this host, and whose connections a listener takes.

Values and the kernel's rule. Not known here: how the kernel is asked (`one_pass/sockets.py`), and what follows for
clients (`decide/bridge.py`) and for a probe (`probe/guard.py`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from agent.values.settings import ProxyUrl

# Names of the loopback addresses in Debian's and Fedora's /etc/hosts, besides `localhost`.
_LOOPBACK_NAMES: Final = ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")
_LOOPBACK: Final = ("127.0.0.1", "::1")
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
LO: Final = 1  # the kernel's LOOPBACK_IFINDEX, the same in every network namespace


class Listener(msgspec.Struct, frozen=True):
    """A TCP socket that listens, whoever opened it."""

    address: str  # IPv4's where it takes IPv4 alone, also if the socket is IPv6's (::ffff:172.17.0.1)
    port: int
    uid: int  # of who opened it: for a socket that systemd hands on, of that systemd
    cookie: int  # tells it from every other socket, for as long as the machine runs
    is_ipv6_only: bool = False
    interface: int = 0  # the index of the one that it is bound to; 0: any

    def takes(self, address: str, port: int) -> bool:
        """Whether a connection to that address may become its own.

        A specific address beats a wildcard, but only one user's sockets can stand side by side so (FACTS 91): to judge
        whose it is, all that may take it are looked at.
        """
        if self.port != port:
            return False
        if self.address == address:
            return True
        if self.address == "::":
            return ":" in address or not self.is_ipv6_only
        return self.address == "0.0.0.0" and ":" not in address

    @property
    def hears_this_host(self) -> bool:
        """Whether what comes in by `lo` may reach it."""
        return self.interface in (0, LO)

    @property
    def hears_containers(self) -> bool:
        """Whether what comes in by a bridge may reach it."""
        return self.interface != LO


class Backlog(msgspec.Struct, frozen=True):
    """Of a listening socket, at one moment."""

    cookie: int  # tells it from every other socket
    waiting: int  # connections that nobody has accepted yet
    most: int  # of those
    dropped: int = 0  # since it listens, as there were so many


class LocalProxy(msgspec.Struct, frozen=True):
    """Where a proxy listens on this host, and whose it must be."""

    host: str  # one that means this host
    port: int
    owner: str = ""  # anybody's


class Sockets(Protocol):
    """Who listens on this host, and who is who."""

    def listeners(self, port: int, addresses: Iterable[str]) -> Sequence[Listener]:
        """Those at the port that may take a connection to one of the addresses. AgentError: it could not be learned."""

    def uid(self, name: str) -> int | None:
        """None: there is no such user. AgentError: that cannot be told now."""

    def name(self, uid: int) -> str: ...


def on_this_host(listeners: Iterable[Listener], addresses: Iterable[str], port: int) -> tuple[Listener, ...]:
    """Those that may take what connects from here to one of these loopback addresses."""
    asked = tuple(addresses)
    return tuple(one for one in listeners if one.hears_this_host and any(one.takes(address, port) for address in asked))


def on_the_bridge(listeners: Iterable[Listener], address: str, port: int) -> tuple[Listener, ...]:
    """Those that may take what containers connect to at the bridge's address."""
    return tuple(one for one in listeners if one.hears_containers and one.takes(address, port))


def loopback_addresses(host: str) -> tuple[str, ...]:
    """The loopback addresses that a host stands for as it is spelled; () if it is none of loopback.

    0.0.0.0 and [::] are loopback to who connects there.
    """
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return _LOOPBACK
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ()
    return _of_loopback(address)


def is_name(host: str) -> bool:
    """Whether a resolver has to be asked where it is."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return not loopback_addresses(host)
    return False


def all_loopback(addresses: Iterable[str]) -> tuple[str, ...]:
    """What a name resolved to, if that is nothing but loopback; else ()."""
    found = [loopback_addresses(address) for address in addresses]
    return tuple(dict.fromkeys(one for each in found for one in each)) if all(found) else ()


def is_loopback(url: ProxyUrl) -> bool:
    """Whether it is this host alone that reaches the proxy so."""
    return bool(loopback_addresses(url.host))


def unmapped(address: IpAddress) -> IpAddress:
    """Where the kernel connects: ::ffff:127.0.0.1 leads to 127.0.0.1, and an AAAA record may have it."""
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def _of_loopback(address: IpAddress) -> tuple[str, ...]:
    meant = unmapped(address)
    if meant.is_unspecified:
        return (_LOOPBACK[0] if meant.version == 4 else _LOOPBACK[1],)
    return (str(meant),) if meant.is_loopback else ()

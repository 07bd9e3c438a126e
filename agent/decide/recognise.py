"""Which network this is, and why.

Pure: the policy's networks and a snapshot come in; a network with a reason goes out. The first whose `match` holds,
or that has none, is the one; if none is, `elsewhere`.
Not known here: how the snapshot was taken, and what is done in that network.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from agent.values.policy import ELSEWHERE, Match, Network
from agent.values.secret import escaped
from agent.values.snapshot import Interface, Snapshot


class Recognised(msgspec.Struct, frozen=True):
    """The network, and the reason in words of the policy."""

    network: Network
    because: str


def recognise(networks: Sequence[Network], snapshot: Snapshot) -> Recognised:
    """The first network that matches; their order decides, not a route's metric."""
    host = _Host.of(snapshot)
    for network in networks:
        if network.match.is_empty:
            return Recognised(network, "it has no match, so it fits everywhere")
        reason = _holds(network.match, host)
        if reason is not None:
            return Recognised(network, reason)
    return Recognised(ELSEWHERE, _none_matches(len(networks)))


def _none_matches(networks: int) -> str:
    if networks == 1:
        return "the policy's one network does not match"
    return "the policy names no network" if networks == 0 else f"none of the policy's {networks} networks matches"


def why_not(network: Network, snapshot: Snapshot) -> str | None:
    """What keeps this network from matching, with what is seen instead; None if nothing does."""
    host = _Host.of(snapshot)
    if network.match.is_empty or _holds(network.match, host) is not None:
        return None
    missing = _misses(_ON_THE_HOST, network.match, host, "the host")
    if _asks_for_an_interface(network.match):
        # The interface that comes closest: a person would look there for the mistake.
        on_each = [_misses(_ON_ONE_INTERFACE, network.match, place, place.name) for place in host.online]
        nearest = min(on_each, key=len, default=["no interface is online"])
        missing += nearest
    return f"network {network.name}: {'; '.join(missing)}"


def may_still_match(network: Network, snapshot: Snapshot) -> bool:
    """Whether one that does not match would, if what is not known yet came to be what it asks for.

    What a host has of DNS may be of the place before for a while, so it may always still come.
    """
    match = network.match
    if not _asks_for_an_interface(match):
        return True
    coming = (interface for interface in snapshot.interfaces if interface.has_carrier)
    return any(_may_still_be(match, interface) for interface in coming)


def _may_still_be(match: Match, interface: Interface) -> bool:
    place, is_online = _Place.of(interface), interface.is_online
    not_known_yet = {
        "ssid": not place.ssids and not is_online,  # one that is online has the one that it has, or is no Wi-Fi
        "gateway": not place.gateways,
        "gateway_mac": not place.macs,
        "address": any(_is_missing(_span(want), place.spans) for want in match.address),
        "interface": False,
    }
    for rule in _ON_ONE_INTERFACE:
        values = getattr(match, rule.key)
        if values and not not_known_yet[rule.key] and not any(rule.holds(value, place) for value in values):
            return False
    return True


def _is_missing(wanted: _Span, spans: tuple[_Span, ...]) -> bool:
    """Whether there is no address of this kind at all."""
    return not any(wanted.version == span.version for span in spans)


# What is compared with.


class _Span(NamedTuple):
    """The addresses of a network, first and last."""

    version: int
    first: int
    last: int

    def overlaps(self, other: _Span) -> bool:
        return self.version == other.version and self.first <= other.last and other.first <= self.last


@functools.lru_cache(maxsize=8192)
def _span(subnet: str) -> _Span:
    """Of a canonical text; an address alone is a network of one."""
    text, _, length = subnet.partition("/")
    if ":" in text:
        version, bits, number = 6, 128, int(ipaddress.IPv6Address(text))
    else:  # not by ipaddress: a thousand networks would take it 10 ms of the 20 that a decision has
        version, bits, number = 4, 32, int.from_bytes(bytes(map(int, text.split("."))), "big")
    size = 1 << (bits - int(length or bits))
    first = number & -size
    return _Span(version, first, first + size - 1)


class _Place(NamedTuple):
    """One interface that is online."""

    name: str
    ssids: tuple[str, ...]
    gateways: tuple[str, ...]
    macs: tuple[str, ...]
    addresses: tuple[str, ...]
    spans: tuple[_Span, ...]

    @classmethod
    def of(cls, interface: Interface) -> _Place:
        addresses = [text.partition("/")[0] for text in interface.ipv4]
        return cls(
            name=interface.name,
            ssids=() if interface.ssid is None else (interface.ssid,),
            gateways=interface.gateways,
            macs=interface.gateway_macs,
            addresses=(*interface.ipv4, *interface.ipv6_64s),
            spans=tuple(_span(text) for text in (*addresses, *interface.ipv6_64s)),
        )


class _Host(NamedTuple):
    """The snapshot, without what is offline."""

    online: tuple[_Place, ...]
    dns_search: tuple[str, ...]
    dns_servers: tuple[str, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Host:
        return cls(
            tuple(_Place.of(interface) for interface in snapshot.interfaces if interface.is_online),
            tuple(_domain(domain) for domain in snapshot.dns_search),
            tuple(_unscoped(server) for server in snapshot.dns_servers),
        )


def _domain(text: str) -> str:
    return text.lower().removesuffix(".")


def _unscoped(address: str) -> str:
    """`fe80::1%wlan0` without the interface: that is asked for by `match.interface`."""
    return address.partition("%")[0]


def is_like(name: str, pattern: str) -> bool:
    """`*` stands for any text, `?` for any character, all else for itself.

    Not fnmatch: it takes the brackets of an SSID such as `Hotel [5G]` for a set of characters, and compiling a
    thousand patterns takes it 0.1 s.
    """
    head, *rest = pattern.split("*")
    if not rest:
        return _is_spelled(name, head)
    *middle, tail = rest
    at, end = len(head), len(name) - len(tail)
    if at > end or not (_is_spelled(name[:at], head) and _is_spelled(name[end:], tail)):
        return False
    for piece in middle:
        starts = range(at, end - len(piece) + 1)
        found = next((start for start in starts if _is_spelled(name[start : start + len(piece)], piece)), None)
        if found is None:
            return False
        at = found + len(piece)
    return True


def _is_spelled(text: str, piece: str) -> bool:
    if "?" not in piece:
        return text == piece
    return len(text) == len(piece) and all(want in ("?", char) for char, want in zip(text, piece, strict=True))


# The rules.

Where = TypeVar("Where", _Place, _Host)


class _Rule(NamedTuple, Generic[Where]):
    """One key of `match`: what is there to be seen, and whether a value of the policy holds there."""

    key: str
    seen: Callable[[Where], Collection[str]]
    holds: Callable[[str, Where], bool]


# These must hold on one and the same interface …
_ON_ONE_INTERFACE: Final = (
    _Rule[_Place]("ssid", lambda on: on.ssids, lambda want, on: any(is_like(ssid, want) for ssid in on.ssids)),
    _Rule[_Place]("gateway", lambda on: on.gateways, lambda want, on: _unscoped(want) in on.gateways),
    _Rule[_Place]("gateway_mac", lambda on: on.macs, lambda want, on: want in on.macs),
    _Rule[_Place]("address", lambda on: on.addresses, lambda want, on: _is_within(_span(want), on.spans)),
    _Rule[_Place]("interface", lambda on: (on.name,), lambda want, on: is_like(on.name, want)),
)

# … and these on the host.
_ON_THE_HOST: Final = (
    _Rule[_Host]("dns_search", lambda on: on.dns_search, lambda want, on: _is_searched(_domain(want), on.dns_search)),
    _Rule[_Host]("dns_server", lambda on: on.dns_servers, lambda want, on: _unscoped(want) in on.dns_servers),
)


def _is_within(wanted: _Span, spans: tuple[_Span, ...]) -> bool:
    return any(wanted.overlaps(span) for span in spans)


def _is_searched(wanted: str, domains: tuple[str, ...]) -> bool:
    return any(is_like(domain, wanted) for domain in domains)


def _holds(match: Match, host: _Host) -> str | None:
    """What makes it hold, in words; None if it does not."""
    on_the_host = _hits(_ON_THE_HOST, match, host)
    if on_the_host is None:
        return None
    if not _asks_for_an_interface(match):
        return " and ".join(on_the_host)
    for place in host.online:
        on_interface = _hits(_ON_ONE_INTERFACE, match, place)
        if on_interface is not None:
            return "; ".join([f"{' and '.join(on_interface)} on {place.name}", *on_the_host])
    return None


def _asks_for_an_interface(match: Match) -> bool:
    return bool(match.ssid or match.gateway or match.gateway_mac or match.address or match.interface)


def _hits(rules: Sequence[_Rule[Where]], match: Match, where: Where) -> list[str] | None:
    """For each key that is asked for, the first value that holds there; None if one has none."""
    hits = []
    for rule in rules:
        values = getattr(match, rule.key)
        if not values:
            continue
        for value in values:
            if rule.holds(value, where):
                hits.append(f"match.{rule.key} {value}")
                break
        else:
            return None
    return hits


def _misses(rules: Sequence[_Rule[Where]], match: Match, where: Where, name: str) -> list[str]:
    """For each key that has no value that holds there, what was asked for and what is seen."""
    misses = []
    for rule in rules:
        values = getattr(match, rule.key)
        if values and not any(rule.holds(value, where) for value in values):
            # An SSID or a domain is foreign text.
            seen = ", ".join(escaped(text, 64) for text in rule.seen(where)) or "none"
            misses.append(f"match.{rule.key} {_few(values)}, but {name} has {seen}")
    return misses


def _few(values: tuple[str, ...]) -> str:
    shown = " or ".join(values[:3])
    return shown if len(values) <= 3 else f"{shown} or {len(values) - 3} more"

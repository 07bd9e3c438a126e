"""Whether containers may reach a loopback proxy by the address of Docker's bridge.

Pure. Who listens where comes in. Anybody may listen on the bridge's address at a port that is free there, so it counts
only as the same proxy if it is the same socket, or belongs to the same user as what listens on loopback (FACTS 91).
What is not known is not the same. That it is looked at from the host, and not from a container, is said with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agent.decide.relay import is_the_relay
from agent.values.condition import Code, Condition
from agent.values.listening import Listener, loopback_addresses, on_the_bridge, on_this_host
from agent.values.policy import Upstream
from agent.values.settings import ProxyUrl


class Bridge(msgspec.Struct, frozen=True):
    """The address by which containers reach the host, and who listens on the host where the upstream does."""

    address: str | None = None  # None: unknown; Docker is never started to learn it
    listeners: tuple[Listener, ...] = ()  # at the ports of the upstream's URLs that are on loopback
    resolved: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # names that are loopback here
    names: Mapping[int, str] = msgspec.field(default_factory=dict)  # of the listeners' users
    expected: int | None = None  # the uid of the upstream's `owner`
    unknown: str = ""  # why it is not known who listens
    heard_at: str = ""  # the host's own address that it leads to; '': it is one itself, that of a bridge here
    is_closed: bool = False  # there is no such address: Docker's bridge is in a network of its own
    is_none: bool = False  # nor is there without a default bridge, which daemon.json may forbid
    is_left: bool = False  # this host's network is on it, too, so our relay does not listen there

    def on_loopback(self, upstream: Upstream) -> tuple[ProxyUrl, ...]:
        """The upstream's URLs that containers need another address for."""
        return tuple(url for url in upstream.urls if self.loopback(url)) if upstream.container_url is None else ()

    def loopback(self, url: ProxyUrl) -> tuple[str, ...]:
        """The loopback addresses that the URL's host stands for; () if it is elsewhere."""
        return loopback_addresses(url.host) or self.resolved.get(url.host, ())

    @property
    def ends_at(self) -> str:
        """The address of this host where what containers send to it arrives."""
        return self.heard_at or self.address or ""

    def heard(self, port: int) -> tuple[Listener, ...]:
        """Those that may take it."""
        if self.heard_at:  # a program on this host connects there for them
            return on_this_host(self.listeners, (self.heard_at,), port)
        return on_the_bridge(self.listeners, self.ends_at, port)


class Obstacle(msgspec.Struct, frozen=True):
    """Why containers are not sent to the bridge."""

    because: str
    condition: Condition
    is_somebody_elses: bool = False  # another user's program listens there
    is_without_address: bool = False  # nor could they be


def obstacle(upstream: Upstream, bridge: Bridge) -> Obstacle | None:
    """None if the upstream itself listens where the bridge's address leads to, as far as the host can see."""
    urls = bridge.on_loopback(upstream)
    ports = sorted({url.port for url in urls})
    if urls and bridge.is_closed:
        return _closed(upstream)
    if urls and bridge.is_none:
        return _none(upstream)
    if urls and bridge.is_left:
        return _left(upstream)
    if urls and bridge.unknown:
        return _unknown(upstream, bridge, _places(bridge.ends_at, ports))
    for url in urls:
        here = on_this_host(bridge.listeners, bridge.loopback(url), url.port)
        there = bridge.heard(url.port)
        if there and not _is_one(here, there, bridge.expected):
            return _others(upstream, bridge, url, here=here, there=there)
    silent = [port for port in ports if not bridge.heard(port)]
    return _silent(upstream, bridge.ends_at, urls, silent) if silent else None


def _is_one(here: Sequence[Listener], there: Sequence[Listener], expected: int | None) -> bool:
    """Whether the same listener takes connections to both, and it is the expected one."""
    sockets = {*here, *there}
    uids = {one.uid for one in sockets}
    return bool(here) and (len(sockets) == 1 or len(uids) == 1) and (expected is None or uids == {expected})


def _silent(upstream: Upstream, address: str, urls: Iterable[ProxyUrl], silent: Sequence[int]) -> Obstacle:
    where = _places(address, silent)
    listening = " and ".join(dict.fromkeys(_place(url.host, url.port) for url in urls if url.port in silent))
    way = other_way(upstream)
    return _obstacle(
        f"{upstream.name} is on loopback, but does not listen on {where}",
        f"{upstream.name} is {listening}; containers reach it only if it listens on {where}, too",
        f"Set {way}" if is_the_relay(upstream) else f"Make it listen on {address}, or set {way}",
    )


def _others(
    upstream: Upstream, bridge: Bridge, url: ProxyUrl, *, here: Sequence[Listener], there: Sequence[Listener]
) -> Obstacle:
    where, theirs = _place(bridge.ends_at, url.port), _whose(bridge, there)
    place, ours = _place(url.host, url.port), _whose(bridge, here)
    demanded = f" must be {upstream.owner}'s, and" if upstream.owner else ":"
    root = " (root's may be a port that a container publishes)" if any(one.uid == 0 for one in there) else ""
    found = _obstacle(
        f"{upstream.name} is on loopback: {place} is {ours}, {where} is {theirs}",
        f"{upstream.name}{demanded} {place} is {ours}, {where} is {theirs};"
        " containers are not sent to another user's listener",
        f"See who listens there{root}: sudo ss -tlnp sport = :{url.port}. Make {upstream.name} listen there itself,"
        f" or set {other_way(upstream)}",
    )
    return msgspec.structs.replace(found, is_somebody_elses=True)


def _closed(upstream: Upstream) -> Obstacle:
    return _obstacle(
        f"{upstream.name} is on loopback, which containers of this Docker cannot reach",
        f"{upstream.name} is on this host's loopback, and the containers of this Docker, which are in a network of"
        " their own, have no way to it",
        f"Set {other_way(upstream, ' to an address of this host in the network, if it listens there')}",
    )


def _none(upstream: Upstream) -> Obstacle:
    found = _obstacle(
        f"{upstream.name} is on loopback, and Docker has no default bridge",
        f"{upstream.name} is on this host's loopback, and Docker has no default bridge, by whose address all containers"
        ' could reach it: daemon.json says "bridge": "none"',
        f"Remove that, or set {other_way(upstream)}",
    )
    return msgspec.structs.replace(found, is_without_address=True)


def _left(upstream: Upstream) -> Obstacle:
    found = _obstacle(
        f"{upstream.name} does not listen on Docker's bridge, which this host's network is on, too",
        f"this host's network is on Docker's bridge, too, so {upstream.name} does not listen there",
        f"Take the network's card out of the bridge, or set {other_way(upstream)}",
    )
    return msgspec.structs.replace(found, is_without_address=True)


def _unknown(upstream: Upstream, bridge: Bridge, where: str) -> Obstacle:
    return _obstacle(
        f"{upstream.name} is on loopback, and it is not known who listens on {where}",
        f"{upstream.name} is on loopback, and it is not known whether it is what listens on {where}: {bridge.unknown}",
        f"Set {other_way(upstream)}",
    )


def other_way(upstream: Upstream, to: str = "") -> str:
    """The key by which containers get something else. What a PAC names is no table of the policy, and has none."""
    if is_the_relay(upstream):
        return 'relay.listen = ["loopback"]: clients then get the upstreams themselves'
    return f"upstream.{upstream.name}.container_url{to}" if not upstream.named_by else "relay.enable = true"


def _obstacle(because: str, text: str, remedy: str) -> Obstacle:
    return Obstacle(because, Condition(Code.CLIENT_UNREACHABLE, text, remedy))


def _whose(bridge: Bridge, listeners: Iterable[Listener]) -> str:
    uids = sorted({one.uid for one in listeners})
    return " and ".join(f"{bridge.names.get(uid) or f'user {uid}'}'s" for uid in uids) or "nobody's"


def _places(address: str, ports: Iterable[int]) -> str:
    return " and ".join(_place(address, port) for port in ports)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

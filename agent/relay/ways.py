"""Which ways a connection may take by the orders, in their order: the first, and the one that is tried if it fails.

Pure. What the exclusions name goes directly, by Go's rules, whatever the upstream; a change of them needs no restart of
Docker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from agent.probe.no_proxy import excludes
from agent.values.pac import Way as PacWay
from agent.values.relay import Orders, RelayUpstream
from agent.values.settings import ProxyUrl

DIRECTLY: Final = "direct"
EXCLUDED: Final = "direct (no_proxy)"  # no upstream of a policy can be called so
_KEPT: Final = 1024
_T = TypeVar("_T")
_TRIED: Final = 2  # a third would make a client wait for longer than it wants to


class Way(msgspec.Struct, frozen=True):
    """By this proxy, or directly."""

    upstream: str  # its name
    proxy: ProxyUrl | None = None
    owner: str = ""
    owner_uid: int | None = None
    is_last_resort: bool = False  # not named by the PAC for this host: only if its proxies cannot be reached
    is_excluded: bool = False  # by no_proxy, whatever the upstreams are
    is_unknown: bool = False  # only a PAC has named the proxy: nobody here has seen it working

    @property
    def counted_as(self) -> str:
        """The name in what is counted. What is excluded tells nothing of the upstream that is called `direct`."""
        return EXCLUDED if self.is_excluded else self.upstream


class Ways:
    """Of one set of orders."""

    def __init__(self, orders: Orders, before: Ways | None = None) -> None:
        """`before`: by the orders before these."""
        self.orders = orders
        # Proxies that had a password before, and have none now.
        self.withheld: frozenset[ProxyUrl] = frozenset()
        if before is not None:
            had = before.withheld | {
                way.without_credentials() for way in before._proxies() if way.credentials is not None
            }
            self.withheld = frozenset(way for way in self._proxies() if way in had)
        self._newest: list[Ways] = before._newest if before is not None else []  # the one, which all before it know
        self._newest[:] = [self]
        self._known: dict[tuple[str, int, bool], tuple[Way, ...]] = {}
        self._refused: set[ProxyUrl] = before._refused if before is not None else set()
        self._refused_to: set[tuple[ProxyUrl, str]] = before._refused_to if before is not None else set()

    @property
    def latest(self) -> Ways:
        """Of the orders that are in force by now."""
        return self._newest[0]

    def may_still_send(self, proxy: ProxyUrl) -> bool:
        """Whether the orders that are in force by now have this proxy with the same password, or without as well."""
        if self.latest is self or (proxy.credentials is None and proxy not in self.withheld):
            return True
        return proxy in self.latest._proxies()

    def _proxies(self) -> Iterator[ProxyUrl]:
        pac = self.orders.pac
        told = (*self.orders.upstreams, *(pac.known if pac is not None else ()))
        return (way for one in told for way in (one.http, one.https) if way is not None)

    def to(self, host: str, port: int, *, is_tunnel: bool) -> tuple[Way, ...]:
        """At most two, never the same twice."""
        key = host, port, is_tunnel
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = self._found(host, port, is_tunnel=is_tunnel)
        return found

    def note_refused(self, way: Way, source: str = "") -> None:
        """Its password was refused. One that the agent has seen working there is right: then the request was refused.

        `source`: whose request for a URL was refused. That may be the server's answer, so it counts for no other
        source, and not for tunnels.
        """
        if way.is_unknown and way.proxy is not None and way.proxy.credentials:
            if source:
                _put(self._refused_to, (way.proxy, source))
            else:
                _put(self._refused, way.proxy)

    def is_refused(self, way: Way, source: Callable[[], str] = str) -> bool:
        """Whether its password must not be sent again before the agent has seen it work: accounts lock.

        New orders are no reason to try again: each new Docker network brings some. `source`: '' for a tunnel.
        """
        if not way.is_unknown or way.proxy is None:
            return False
        return way.proxy in self._refused or bool(self._refused_to and (way.proxy, source()) in self._refused_to)

    def is_for_the_pac(self, host: str, port: int) -> bool:
        """Whether the PAC decides, where there is one."""
        pac = self.orders.pac
        if pac is None or f"{host.rstrip('.').lower()}:{port}" in pac.settled:
            return False
        return not excludes((*self.orders.no_proxy, *pac.no_proxy), host, port)

    def by(self, named: Sequence[PacWay]) -> tuple[Way, ...]:
        """At most two that a PAC names, and the chosen one for when they cannot be had.

        Where the agent's choice is among them, those before it that it has seen failing stand behind the others.
        """
        pac = self.orders.pac
        assert pac is not None  # noqa: S101 - it was asked
        by_url = {one.https.without_credentials(): one for one in pac.known if one.https}
        found = [_by_pac(way, by_url, pac.name) for way in named]
        chosen = self.orders.upstreams[0].name if self.orders.upstreams else ""
        at = next((place for place, way in enumerate(found) if way.upstream == chosen), 0)
        failing = {one.name for one in pac.known if one.works is False}
        behind = [way for way in found[:at] if way.upstream in failing]
        return self._with_last_resort([*(way for way in found if way not in behind), *behind][:_TRIED])

    def _with_last_resort(self, found: Sequence[Way]) -> tuple[Way, ...]:
        """For a host that is no registry, a PAC may name proxies that are down, for example at random."""
        first = self.orders.upstreams[0] if self.orders.upstreams else None
        if first is None or first.https is None or any(way.proxy in (None, first.https) for way in found):
            return tuple(found)
        last = Way(
            first.name, first.https, first.owner, first.owner_uid, is_last_resort=True, is_unknown=first.is_hearsay
        )
        return (*found, last)

    def _found(self, host: str, port: int, *, is_tunnel: bool) -> tuple[Way, ...]:
        if excludes(self.orders.no_proxy, host, port):
            goes_so_anyway = bool(self.orders.upstreams) and self.orders.upstreams[0].name == DIRECTLY
            return (Way(DIRECTLY, is_excluded=not goes_so_anyway),)
        ways: list[Way] = []
        for upstream in self.orders.upstreams:
            way = _by(upstream, host, port, is_tunnel=is_tunnel)
            if all(way.proxy != other.proxy for other in ways):
                ways.append(way)
            if len(ways) == _TRIED:
                break
        return tuple(ways)


def _put(refused: set[_T], one: _T) -> None:
    if len(refused) >= _KEPT:
        refused.clear()
    refused.add(one)


def _by_pac(way: PacWay, known: Mapping[ProxyUrl, RelayUpstream], pac: str) -> Way:
    if way.proxy is None:
        return Way(DIRECTLY)
    one = known.get(way.proxy)
    return Way(pac, way.proxy, is_unknown=True) if one is None else Way(one.name, one.https, is_unknown=one.is_hearsay)


def _by(upstream: RelayUpstream, host: str, port: int, *, is_tunnel: bool) -> Way:
    proxy = upstream.https if is_tunnel else upstream.http
    if proxy is None or excludes(upstream.no_proxy, host, port):
        return Way(upstream.name)
    return Way(upstream.name, proxy, upstream.owner, upstream.owner_uid, is_unknown=upstream.is_hearsay)

"""Which ways a connection may take by the orders, in their order: the first, and the one that is tried if it fails.

Pure. What the exclusions name goes directly, by Go's rules, whatever the upstream; a change of them needs no restart of
Docker.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agent.probe.no_proxy import excludes
from agent.values.relay import Orders, RelayUpstream
from agent.values.settings import ProxyUrl

DIRECTLY: Final = "direct"
_KEPT: Final = 1024
_TRIED: Final = 2  # a third would make a client wait for longer than it wants to


class Way(msgspec.Struct, frozen=True):
    """By this proxy, or directly."""

    upstream: str  # its name
    proxy: ProxyUrl | None = None
    owner: str = ""
    owner_uid: int | None = None


class Ways:
    """Of one set of orders."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self._known: dict[tuple[str, int, bool], tuple[Way, ...]] = {}

    def to(self, host: str, port: int, *, is_tunnel: bool) -> tuple[Way, ...]:
        """At most two, never the same twice."""
        key = host, port, is_tunnel
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = self._found(host, port, is_tunnel=is_tunnel)
        return found

    def _found(self, host: str, port: int, *, is_tunnel: bool) -> tuple[Way, ...]:
        if excludes(self.orders.no_proxy, host, port):
            return (Way(DIRECTLY),)
        ways: list[Way] = []
        for upstream in self.orders.upstreams:
            way = _by(upstream, host, port, is_tunnel=is_tunnel)
            if all(way.proxy != other.proxy for other in ways):
                ways.append(way)
            if len(ways) == _TRIED:
                break
        return tuple(ways)


def _by(upstream: RelayUpstream, host: str, port: int, *, is_tunnel: bool) -> Way:
    proxy = upstream.https if is_tunnel else upstream.http
    if proxy is None or excludes(upstream.no_proxy, host, port):
        return Way(upstream.name)
    return Way(upstream.name, proxy, upstream.owner, upstream.owner_uid)

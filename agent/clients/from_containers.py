"""What containers find where the proxy is: Docker's bridge, who listens there, and what their DNS and clients know.

Asked of this host alone; no connection is made. Not known here: what a client's file must say because of it
(`decide/clients.py`, `decide/bridge.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from agent.decide.bridge import Bridge
from agent.decide.clients import Around, gives_socks
from agent.decide.relay import is_the_relay
from agent.probe.dial import Resolve
from agent.see.name_servers import ContainerDns, spellings, unknown_to
from agent.system.clock import SYSTEM_CLOCK
from agent.values.errors import AgentError
from agent.values.listening import Sockets, all_loopback, is_name, loopback_addresses
from agent.values.policy import Upstream
from agent.values.secret import escaped

_RESOLVED_WITHIN_S = 0.3  # a name in /etc/hosts takes a millisecond; one that needs DNS is not on this host
_BELIEVED_S = 60.0  # an answer of DNS servers, of which each question may take a second

DropsAll = Callable[[], Awaitable[str]]  # the version of a docker client that does not know allProxy; '' if it does


class FromContainers:
    """For the policy's upstreams; it remembers the answers that may be missing the next time."""

    def __init__(  # noqa: PLR0913 - named at its calls
        self,
        *,
        way_to_host: Callable[[], Awaitable[Bridge]],
        sockets: Sockets,
        resolve: Resolve,
        drops_all: DropsAll | None = None,
        container_dns: Callable[[], ContainerDns] | None = None,
        way_to_relay: Callable[[], Awaitable[Bridge]] | None = None,
    ) -> None:
        """`way_to_host`: by which address containers reach it. `way_to_relay`: the same for our relay, if that differs.

        `drops_all`: None: no docker client is asked.
        """
        self._way_to_host, self._way_to_relay = way_to_host, way_to_relay or way_to_host
        self._sockets = sockets
        self._resolve = resolve
        self._drops_all = drops_all
        self._container_dns = container_dns
        self._addresses: dict[str, str] = {}
        self._unknown: dict[tuple[str, ContainerDns], tuple[float, bool]] = {}  # until when it counts
        self._resolved: dict[str, tuple[str, ...]] = {}  # the loopback addresses of names, as they last were

    async def bridge(self, upstream: Upstream) -> Bridge:
        """Docker's bridge, and who listens where the upstream does. No connection is made."""
        hosts = {url.host: url.port for url in upstream.urls} if upstream.container_url is None else {}
        resolved = {host: await self._loopback_addresses(host, port) for host, port in hosts.items()}
        way = self._way_to_relay if is_the_relay(upstream) else self._way_to_host
        bridge = msgspec.structs.replace(await way(), resolved=resolved)
        asked: dict[int, tuple[str, ...]] = {}
        for url in bridge.on_loopback(upstream) if bridge.address is not None else ():
            asked[url.port] = (*asked.get(url.port, (bridge.ends_at,)), *bridge.loopback(url))
        if not asked:
            return bridge
        return await asyncio.to_thread(_with_listeners, bridge, asked, owner=upstream.owner, sockets=self._sockets)

    async def _loopback_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a name that has only loopback addresses, as in /etc/hosts."""
        if spelled := loopback_addresses(host):
            return spelled
        try:
            async with asyncio.timeout(_RESOLVED_WITHIN_S):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError):  # TimeoutError is one
            return self._resolved.get(host, ())
        self._resolved[host] = all_loopback(address[0] for _, address in found)
        return self._resolved[host]

    async def around(self, upstream: Upstream, *, is_resolved: bool, is_dns_here: bool = True) -> Around:
        """What its containers and clients make of the proxy. `is_resolved`: they get its address, not its name.

        `is_dns_here`: whether the containers are this Docker's, so that it is known whom they ask for names.
        """
        drops_all = await self._drops_all() if self._drops_all and gives_socks(upstream) else ""
        hosts = {url.host: url.port for url in upstream.urls_for_containers if is_name(url.host)}
        if is_resolved:
            return Around(
                drops_all, {host: found for host, port in hosts.items() if (found := await self._ip(host, port))}
            )
        if not hosts or self._container_dns is None or not is_dns_here:
            return Around(drops_all)
        asked = await asyncio.to_thread(self._container_dns)
        shown = f"{', '.join(map(escaped, asked.servers))} ({asked.named_in})"
        return Around(
            drops_all, {}, {host: shown for host in hosts if asked.servers and await self._is_unknown(host, asked)}
        )

    async def _ip(self, host: str, port: int) -> str:
        """Its address, always the same one of the same answers; the last one while there is no answer."""
        try:
            async with asyncio.timeout(_RESOLVED_WITHIN_S):
                found = sorted((family, address[0]) for family, address in await self._resolve(host, port))
        except (OSError, UnicodeError):  # TimeoutError is one
            found = []
        if found:
            self._addresses[host] = found[0][1]
        return self._addresses.get(host, "")

    async def _is_unknown(self, host: str, asked: ContainerDns) -> bool:
        now = SYSTEM_CLOCK.boottime_s()
        until, was = self._unknown.get((host, asked), (-math.inf, False))
        if now < until:
            return was
        is_unknown = await unknown_to(asked.servers, spellings(host, asked.search))
        # Answers of other servers are dropped: a laptop comes to many networks.
        self._unknown = {key: known for key, known in self._unknown.items() if key[1] == asked}
        self._unknown[host, asked] = now + _BELIEVED_S, is_unknown
        return is_unknown


def _with_listeners(bridge: Bridge, asked: Mapping[int, Sequence[str]], *, owner: str, sockets: Sockets) -> Bridge:
    """For a thread: a name may be looked up over a network."""
    try:
        expected = sockets.uid(owner) if owner else None
        if owner and expected is None:
            return msgspec.structs.replace(bridge, unknown=f'there is no user "{owner}"')
        found = (sockets.listeners(port, asked[port]) for port in sorted(asked))
        listeners = tuple(dict.fromkeys(one for each in found for one in each))
    except AgentError as failure:
        return msgspec.structs.replace(bridge, unknown=str(failure))
    names = {uid: sockets.name(uid) for uid in {one.uid for one in listeners}}
    return msgspec.structs.replace(bridge, listeners=listeners, names=names, expected=expected)

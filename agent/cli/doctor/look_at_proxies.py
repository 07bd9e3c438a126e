"""The proxies that the policy and Docker name: who listens on this host, and what the names of the others lead to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from agent.cli.doctor.listener import LocalProxy
from agent.cli.doctor.names import Host
from agent.clients.users import ThisSystem
from agent.one_pass.sockets import LocalSockets
from agent.probe.dial import in_a_thread
from agent.probe.exchange import authority
from agent.probe.probe import proxy_for
from agent.see.docker_bridge import docker_bridge
from agent.see.netlink import NetlinkFailed
from agent.see.ways import way_now
from agent.values.dockerd import Reality
from agent.values.errors import AgentError
from agent.values.listening import is_name, loopback_addresses, on_this_host
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, Policy, RegistryUrl, Upstream
from agent.values.settings import ProxyUrl, Settings

_NAMES_S: Final = 5.0  # for all names together: a resolver that is silent is a finding by itself


class Named(msgspec.Struct, frozen=True):
    """A proxy that somebody names."""

    url: ProxyUrl
    upstream: str = ""
    owner: str = ""
    is_in_use: bool = False


def running_with(reality: Reality | None) -> Settings | None:
    """None: it does not run, or does not say."""
    proxies = reality.engine.proxies if reality is not None and reality.engine is not None else None
    return None if proxies is None else proxies.meaning()


def proxies_named(policy: Policy, runs_with: Settings | None) -> Iterator[Named]:
    """Each place once: those of the policy, and what Docker runs with besides."""
    used = {
        (url.host, url.port): url
        for url in (() if runs_with is None else (runs_with.http, runs_with.https))
        if isinstance(url, ProxyUrl)
    }
    named = set()
    for name, upstream in policy.upstreams.items():
        for url in upstream.urls:
            named.add((url.host, url.port))
            yield Named(url.without_credentials(), name, upstream.owner, (url.host, url.port) in used)
    for place, url in used.items():
        if place not in named:
            yield Named(url.without_credentials(), is_in_use=True)


def local_proxies(paths: Paths, asked: Sequence[Named], relay: int | None = None) -> tuple[LocalProxy, ...]:
    """`relay`: the port at which Docker has the agent's own."""
    sockets = LocalSockets(ThisSystem(paths.root))
    found = (_local(sockets, one) for one in asked if loopback_addresses(one.url.host))
    return tuple(msgspec.structs.replace(one, is_the_relay=not one.upstream and one.port == relay) for one in found)


def _local(sockets: LocalSockets, asked: Named) -> LocalProxy:
    host, port = asked.url.host, asked.url.port
    found = LocalProxy(
        at=authority(host, port), port=port, upstream=asked.upstream, owner=asked.owner, is_in_use=asked.is_in_use
    )
    addresses = loopback_addresses(host)
    try:
        there = on_this_host(sockets.listeners(port, addresses), addresses, port)
    except AgentError as error:
        return msgspec.structs.replace(found, unknown=str(error))
    users = {one.uid: sockets.name(one.uid) or f"user {one.uid}" for one in there}
    return msgspec.structs.replace(found, listens=tuple(users[uid] for uid in sorted(users)))


async def hosts_asked(asked: Sequence[Named], policy: Policy, runs_with: Settings | None) -> tuple[Host, ...]:
    """The proxies, and the registries that Docker asks without one."""
    found = [
        Host(name=one.url.host, is_proxy=True, is_in_use=one.is_in_use)
        for one in asked
        if not loopback_addresses(one.url.host)
    ]
    if runs_with is not None:
        found += [
            Host(name=registry.host, is_in_use=True)
            for registry in policy.probe.registry or (RegistryUrl.parse(DEFAULT_REGISTRY),)
            if is_asked_directly(registry, runs_with) and not loopback_addresses(registry.host)
        ]
    each = {(one.name, one.is_proxy): one for one in sorted(found, key=lambda one: one.is_in_use)}
    return tuple(await asyncio.gather(*map(_resolved, each.values())))


def is_asked_directly(registry: RegistryUrl, runs_with: Settings) -> bool:
    urls = [url if isinstance(url, ProxyUrl) else None for url in (runs_with.http, runs_with.https)]
    return proxy_for(Upstream("docker", http=urls[0], https=urls[1]), registry, runs_with.no_proxy) is None


async def _resolved(host: Host) -> Host:
    addresses: tuple[str, ...] = (host.name,)
    if is_name(host.name):
        try:
            async with asyncio.timeout(_NAMES_S):
                known = await in_a_thread(host.name, 0)
        except TimeoutError:
            return msgspec.structs.replace(host, why_not=f"no answer within {_NAMES_S:.0f} s")
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, socket.gaierror) else None
            return msgspec.structs.replace(host, why_not=why or str(error))
        addresses = tuple(dict.fromkeys(str(address[0]) for _, address in known))
    way, bridge = _way(addresses[0]) if addresses else "", docker_bridge(addresses[0]) if addresses else ""
    return msgspec.structs.replace(host, addresses=addresses, way=way, is_tunnel=_is_tunnel(way), bridge=bridge)


def _way(address: str) -> str:
    with contextlib.suppress(ValueError, NetlinkFailed):  # it explains a finding, and is none
        way = way_now(address)
        return way.interface if way is not None else ""
    return ""


def _is_tunnel(interface: str) -> bool:
    """Only a TUN or TAP has the file."""
    return bool(interface) and os.path.lexists(f"/sys/class/net/{interface}/tun_flags")

"""The network of the host that the agent runs on, as a Snapshot; and which hosts' routes count in it."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from agent.decide.recognise import is_like
from agent.one_pass.aside import aside
from agent.probe.dial import Address, Resolve
from agent.see.resolver import resolver
from agent.see.see import see
from agent.see.ways import Ways
from agent.values.listening import is_loopback
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.snapshot import Snapshot


class ThisHost:
    """The host that the agent runs on."""

    def __init__(
        self,
        paths: Paths,
        policy: Policy,
        ways: Ways,
        arrived: Callable[[], None] = lambda: None,
        of_pacs: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """`arrived`: called in another network, to forget what was known of the last one. `of_pacs`: more hosts."""
        self._paths = paths
        self._policy = policy
        self._ways = ways
        self._hosts = hosts_connected_to(policy)
        self._proxies = proxies_of(policy)
        self._of_pacs = of_pacs
        self._names = frozenset(name for network in policy.networks for name in network.match.interface)
        self._arrived = arrived
        self._fingerprint = ""

    def _is_named(self, interface: str) -> bool:
        return any(is_like(interface, name) for name in self._names)

    def _to_upstreams(self) -> frozenset[str]:
        return self._ways.leaving(self._proxies | self._of_pacs())

    async def see(self) -> Snapshot:
        found = await see(
            self._paths,
            with_macs=self._policy.names_a_mac,
            is_named=self._is_named,
            to_upstreams=self._to_upstreams,
            asking=aside,
        )
        snapshot = self._ways.seen(found, self._hosts | self._of_pacs())
        if (fingerprint := snapshot.fingerprint()) != self._fingerprint:
            self._fingerprint = fingerprint
            self._arrived()
        return snapshot

    def dns_elsewhere(self) -> tuple[str, ...]:
        return Snapshot(dns_servers=resolver(self._paths).servers).dns_elsewhere


def hosts_connected_to(policy: Policy) -> frozenset[str]:
    """The hosts of the policy that a probe connects to: the proxies, and registries where it goes directly."""
    return proxies_of(policy) | {registry.host for registry in policy.probe.registry}


def proxies_of(policy: Policy) -> frozenset[str]:
    """The hosts of the upstreams, except those on this host."""
    urls = (url for upstream in policy.upstreams.values() for url in upstream.urls)
    return frozenset(url.host for url in urls if not is_loopback(url))


def noting(
    resolve: Resolve, ways: Ways, hosts: Container[str], of_pacs: Callable[[], frozenset[str]] = frozenset
) -> Resolve:
    """The look-up that also tells `ways` the addresses of these hosts."""

    async def resolve_and_note(host: str, port: int) -> Sequence[Address]:
        found = await resolve(host, port)
        if host in hosts or host in of_pacs():
            ways.note_resolved(host, [address[0] for _, address in found])
        return found

    return resolve_and_note

"""Registries with private addresses that daemon.json names and that dockerd would look for through the proxy.

A company's proxy mostly does not lead back into the company, and a laptop's own leads out of it: then every pull from
such a registry fails, and Docker says no more than "Forbidden". Here: which those are, and what ways dockerd tries.
Pure, but for `Asking`. Not known here: when they are asked, and how it is said (`one_pass/world.py`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from agent.probe.probe import Question, probe, proxy_for
from agent.values.policy import RegistryUrl, Upstream
from agent.values.settings import ProxyUrl
from agent.values.verdict import Outcome, Verdict

MOST: Final = 8  # each is a question through the proxy
_MOST_LOOKED_AT: Final = 32  # each may be a name to look up
_PRIVATE: Final = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
# What a proxy answers that does not lead there. All else comes from behind it, be it a certificate nobody believes.
_NOT_LED_THERE: Final = frozenset(
    {
        Outcome.PROXY_DENIED, Outcome.PROXY_DOWN, Outcome.NO_ROUTE, Outcome.DNS, Outcome.REFUSED, Outcome.TIMEOUT,
        Outcome.PORTAL,
    }
)  # fmt: skip


class Private(msgspec.Struct, frozen=True):
    """A registry, and the URLs that dockerd tries in turn: of an insecure one https, then http."""

    host: str
    urls: tuple[RegistryUrl, ...]


def named(insecure: Iterable[str], mirrors: Iterable[str]) -> tuple[Private, ...]:
    """Those that can be asked. Of a network (`10.0.0.0/8`) nobody says where a registry is."""
    found: dict[str, dict[RegistryUrl, None]] = {}
    for text in (*mirrors, *(f"{scheme}://{_bare(entry)}" for entry in insecure for scheme in ("https", "http"))):
        if re.search(r"[^/]/[0-9]+$", text.rstrip("/")) or len(text) > 300:
            continue
        try:
            url = RegistryUrl.parse(text)
        except ValueError:  # dockerd refuses it, and the plan says so
            continue
        found.setdefault(url.host, {})[url] = None
    return tuple(Private(host, tuple(urls)) for host, urls in found.items())


def _bare(entry: str) -> str:
    """dockerd takes a scheme off, with a warning."""
    return re.sub(r"^https?://", "", entry, count=1, flags=re.IGNORECASE)


def is_private(address: str) -> bool:
    """RFC 1918 and RFC 4193."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    meant = (isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped) or ip
    return any(meant.version == network.version and meant in network for network in _PRIVATE)


def through(registries: Iterable[Private], upstream: Upstream, no_proxy: Sequence[str]) -> tuple[Private, ...]:
    """Those that dockerd asks the upstream for, by Go's rules, whatever it tries: one way past it is enough."""
    kept = [one for one in registries if all(proxy_for(upstream, url, no_proxy) is not None for url in one.urls)]
    return tuple(kept[:_MOST_LOOKED_AT])


class Asking:
    """The upstream is asked for any number of them at once; but a password is shown once before it is shown again.

    That of an hour ago may be wrong by now, and accounts lock (FACTS 25).
    """

    def __init__(self, upstream: Upstream, question: Question) -> None:
        self.refused: Verdict | None = None  # the proxy's word against the password
        self._upstream = upstream
        self._question = question
        self._in_turn = asyncio.Lock()
        self._has_taken: set[ProxyUrl | None] = set()

    async def fails(self, private: Private) -> str:
        """Why the upstream does not lead there, by any of the ways; '' if it does, or nobody can tell."""
        because = ""
        for url in private.urls:
            verdict = await self._ask(url)
            if verdict.outcome not in _NOT_LED_THERE:
                return ""
            because = because or f"{verdict.outcome.value} ({verdict.evidence})"
        return because

    async def _ask(self, url: RegistryUrl) -> Verdict:
        if self._upstream.credentials is None:
            return await self._probe(url)
        proxy = proxy_for(self._upstream, url, ())
        async with self._in_turn:
            if self.refused is not None:
                return self.refused
            if proxy not in self._has_taken:
                verdict = await self._probe(url)
                self._has_taken.add(proxy)
                return verdict
        return await self._probe(url)

    async def _probe(self, url: RegistryUrl) -> Verdict:
        asked = msgspec.structs.replace(self._question, registries=(url,), any_of=True, realms=None, reach=())
        verdict = await probe(self._upstream, asked)
        if verdict.outcome is Outcome.PROXY_AUTH:
            self.refused = verdict
        return verdict

"""Registries with private addresses that daemon.json names, and that dockerd would ask for through the proxy.

Most proxies of a company do not lead back into it, and a proxy on the laptop leads out of it. Every pull from such a
registry then fails, and Docker only says "Forbidden". Here: which registries those are, and which URLs dockerd tries.
Pure, but for `Asking`. Not known here: when they are asked, and what is shown (`one_pass/private_registries.py`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from agent.probe.probe import Question, probe, proxy_for
from agent.values.listening import unmapped
from agent.values.policy import RegistryUrl, Upstream
from agent.values.settings import ProxyUrl
from agent.values.verdict import Outcome, Verdict

MOST: Final = 8  # each is a request through the proxy
_MOST_LOOKED_AT: Final = 32  # each may need a look-up
_PRIVATE: Final = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
# How a probe ends if the proxy does not lead there. Anything else, even a bad certificate, is the registry's answer.
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
    """Those that can be asked. A network (`10.0.0.0/8`) does not say where its registry is."""
    found: dict[str, dict[RegistryUrl, None]] = {}
    for text in (*mirrors, *(f"{scheme}://{_bare(entry)}" for entry in insecure for scheme in ("https", "http"))):
        if re.search(r"[^/]/[0-9]+$", text.rstrip("/")) or len(text) > 300:
            continue
        try:
            url = RegistryUrl.parse(text)
        except ValueError:  # dockerd refuses it; the plan says so
            continue
        found.setdefault(url.host, {})[url] = None
    return tuple(Private(host, tuple(urls)) for host, urls in found.items())


def _bare(entry: str) -> str:
    """dockerd removes a scheme, with a warning."""
    return re.sub(r"^https?://", "", entry, count=1, flags=re.IGNORECASE)


def is_private(address: str) -> bool:
    """RFC 1918 and RFC 4193."""
    try:
        meant = unmapped(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    return any(meant.version == network.version and meant in network for network in _PRIVATE)


def through(registries: Iterable[Private], upstream: Upstream, no_proxy: Sequence[str]) -> tuple[Private, ...]:
    """Those that dockerd can only reach through the upstream: all of their URLs go through it, by Go's rules."""
    kept = [one for one in registries if all(proxy_for(upstream, url, no_proxy) is not None for url in one.urls)]
    return tuple(kept[:_MOST_LOOKED_AT])


class Asking:
    """Asks the upstream for many of them at once, but sends a password to one first: accounts lock (FACTS 25)."""

    def __init__(self, upstream: Upstream, question: Question) -> None:
        self.refused: Verdict | None = None  # the verdict with which the proxy rejected the password
        self._upstream = upstream
        self._question = question
        self._in_turn = asyncio.Lock()
        self._has_taken: set[ProxyUrl | None] = set()

    async def fails(self, private: Private) -> str:
        """Why the upstream does not lead there, by any of the URLs; '' if it does, or that is unknown."""
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

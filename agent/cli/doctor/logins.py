"""Registries that people have logged in to, which are in this network, and which Docker asks the proxy for.

Pure. daemon.json's registries are asked through the proxy by a pass (`probe/private.py`). Nobody is asked for these:
what an account without rights can write must not decide whom root speaks to. Not known here: whose name servers said
where they are (`people.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.values.policy import RegistryUrl

MOST: Final = 16  # of one person; each is a look-up
_LONGEST: Final = 300
_OF_HUB: Final = (".docker.io", ".docker.com")
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One registry with a private address, that Docker asks through the proxy."""

    host: str
    address: str
    whose: tuple[str, ...]
    upstream: str = ""  # of the policy, that Docker runs with; '': none of the policy's


def registries_of(text: str) -> tuple[RegistryUrl, ...]:
    """Those that a config.json names: `docker login` notes them in auths, whoever keeps the password."""
    try:
        said = json.loads(text)
        named = [name for key in ("auths", "credHelpers") for name in said.get(key) or {}]
    except (ValueError, AttributeError, TypeError, RecursionError):  # why it is not as it must be is said by a pass
        return ()
    found = (_registry(name) for name in islice(named, MOST))
    return tuple(dict.fromkeys(url for url in found if url is not None))


def _registry(name: object) -> RegistryUrl | None:
    """Docker asks by https first, whatever scheme stands there."""
    if not isinstance(name, str) or len(name) > _LONGEST:
        return None
    try:
        return RegistryUrl.parse(f"https://{_SCHEME.sub('', name, count=1)}")
    except ValueError:
        return None


def may_be_of_a_network(registry: RegistryUrl, probed: Collection[RegistryUrl]) -> bool:
    """Not one that the policy probes, nor a public one that everybody knows: those are what the proxy is for.

    Where one is, is said by a look-up as a person, which that person can make say anything.
    """
    host = registry.host.rstrip(".")
    return host not in {one.host for one in probed} and not f".{host}".endswith(_OF_HUB)


def judge(logins: Iterable[Login]) -> Iterator[Finding]:
    for one in logins:
        where = f"to no_proxy of [upstream.{one.upstream}]" if one.upstream else "to always of [no_proxy] in the policy"
        said = "" if one.host == one.address else f"as a look-up of {one.whose[0]}'s says, "
        yield Finding(
            code=Sign.REGISTRY_BY_PROXY,
            is_broken=False,
            where=one.host,
            what=f"{', '.join(one.whose)} logged in to this registry, which is at {one.address}, a private address, "
            f"{said}but Docker reaches it through the proxy",
            why="most proxies lead out of a network, not back in: pulls from there fail with Forbidden or time out",
            command=f'If such pulls fail and this registry is in your network: add "{one.host}" {where}, '
            "then run: sudo docker-proxy-agent apply",
        )

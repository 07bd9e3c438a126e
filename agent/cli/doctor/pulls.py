"""What a pull needs besides the registry: the server that it sends Docker to for tokens, and where layers come from.

Pure. Not known here: who was asked (`look.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.values.policy import DIRECT_NAME, ReachedHost
from agent.values.verdict import Outcome, Verdict

# Where Docker Hub sends its clients for layers; which of them, it decides each time:
# https://docs.docker.com/desktop/setup/allow-list/
OF_HUB: Final = tuple(
    ReachedHost.parse(host)
    for host in (
        "production.cloudflare.docker.com",
        "production.cloudfront.docker.com",
        "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
    )
)
# Somebody means it. A name that is not known, or a silent host, may be one that Docker Hub has given up.
_REFUSED: Final = frozenset({Outcome.PROXY_DENIED, Outcome.TLS})


class Role(enum.Enum):
    """What it is needed for."""

    TOKENS = "tokens"
    LAYERS = "layers"  # of Docker Hub
    REACH = "reach"  # the policy says so


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """One host, and how it was reached through an upstream through which the registry was."""

    role: Role
    host: str  # with its port, if it is not 443
    upstream: str
    verdict: Verdict
    is_in_use: bool = False  # Docker runs with that upstream


def judge(needed: Iterable[Needed]) -> Iterator[Finding]:
    layers: dict[str, list[Needed]] = {}
    for one in needed:
        if one.role is Role.LAYERS:
            layers.setdefault(one.upstream, []).append(one)
        elif not one.verdict.is_ok:
            yield _tokens(one) if one.role is Role.TOKENS else _reach(one)
    for these in layers.values():
        if refused := [one for one in these if one.verdict.outcome in _REFUSED]:
            yield _layers(refused, are_all=len(refused) == len(these))


def _tokens(one: Needed) -> Finding:
    return Finding(
        code=Sign.TOKEN_SERVER,
        is_broken=one.is_in_use,
        where=one.host,
        what=f"the registry sends Docker there for tokens, but {_leads_not(one)}",
        why="the registry answers, but every pull through it still fails",
        command=_let_pass(one.host, one.upstream),
    )


def _reach(one: Needed) -> Finding:
    return Finding(
        code=Sign.LAYERS_HOST,
        is_broken=one.is_in_use,
        where=one.host,
        what=f"probe.reach of the policy names it, but {_leads_not(one)}",
        why="the registry answers, but pulls of what comes from there still fail",
        command=_let_pass(one.host, one.upstream),
    )


def _layers(refused: list[Needed], *, are_all: bool) -> Finding:
    first, hosts = refused[0], ", ".join(one.host for one in refused)
    return Finding(
        code=Sign.LAYERS_HOST,
        is_broken=are_all and first.is_in_use,
        where=hosts,
        what=f"layers of Docker Hub's images come from there, but {_leads_not(first)}",
        why="a pull starts, then fails at its layers"
        if are_all
        else "Docker Hub uses several such hosts: a pull fails whenever it is sent to one of these",
        command=_let_pass(hosts, first.upstream),
    )


def _leads_not(one: Needed) -> str:
    evidence = f" ({one.verdict.evidence})" if one.verdict.evidence else ""
    return f"{one.upstream} does not lead there: {one.verdict.outcome.value}{evidence}"


def _let_pass(hosts: str, upstream: str) -> str:
    who = "this network" if upstream == DIRECT_NAME else "that proxy"
    return f"Ask whoever runs {who} to allow it: {hosts}. To check again: sudo docker-proxy-agent doctor"

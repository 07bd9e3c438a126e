"""Proxies on this host: whether one listens, and whose it is.

Pure. Not known here: how the kernel is asked (`look.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.decide.pac import name_in_policy, way_in_name

_START_RELAY: Final = "sudo systemctl start docker-proxy-relay.socket; journalctl -u docker-proxy-relay.socket -n 20"


class LocalProxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy's place on loopback, and who listens there."""

    at: str  # "127.0.0.1:7890"
    port: int
    upstream: str = ""  # of the policy; '': nothing but Docker names it
    owner: str = ""  # that the policy wants; '': anybody
    is_in_use: bool = False  # Docker runs with it
    is_the_relay: bool = False  # whose program is the agent's
    listens: tuple[str, ...] = ()  # the users who do
    unknown: str = ""  # why that is not known


def judge(proxies: Iterable[LocalProxy], policy: str) -> Iterator[Finding]:
    """`policy`: its path."""
    for one in proxies:
        if (found := _judged(one, policy)) is not None:
            yield found


def _judged(one: LocalProxy, policy: str) -> Finding | None:
    if one.unknown:
        return Finding(
            code=Sign.LISTENER_UNKNOWN,
            is_broken=False,
            where=one.at,
            what=f"cannot tell who listens there: {one.unknown}",
        )
    who = f"sudo ss -ltnp 'sport = :{one.port}'"
    if not one.listens:
        return _absent(one) if one.is_in_use else None  # elsewhere it may well be down
    others = tuple(user for user in one.listens if user != one.owner)
    if one.owner and others:
        return Finding(
            code=Sign.LISTENER_FOREIGN,
            is_broken=one.is_in_use,
            where=one.at,
            what=f"{' and '.join(others)} listens there, but upstream.{one.upstream} must be {one.owner}'s",
            why="that program would get everything Docker sends, passwords included, so the agent does not use it",
            command=f"{who} shows the program. Stop it, or fix the owner in {policy}",
        )
    if one.upstream and not one.owner and len(one.listens) == 1:
        return Finding(
            code=Sign.LISTENER_UNOWNED,
            is_broken=False,
            where=policy,
            what=f"upstream.{one.upstream} at {one.at} has no owner, so anybody's program may answer",
            why="while the program is down, any user of this host can listen in its place",
            command=_how_to_own(one),
        )
    return None


def _how_to_own(one: LocalProxy) -> str:
    owner = f'owner = "{one.listens[0]}"'
    pac = name_in_policy(one.upstream)
    if pac == one.upstream:
        return f"Add to [upstream.{pac}]: {owner}"
    way = way_in_name(one.upstream)
    url = way if "://" in way else f"http://{way}"
    return f'Give it an upstream of its own, with url = "{url}" and {owner}, and list that before {pac} in use'


def _absent(one: LocalProxy) -> Finding:
    helps = "sudo docker-proxy-agent apply" if one.upstream else "sudo docker-proxy-agent plan"
    return Finding(
        code=Sign.LISTENER_ABSENT,
        is_broken=True,
        where=one.at,
        what="nothing listens there, but Docker uses it as its proxy",
        why="every pull fails with: connection refused",
        command=_START_RELAY if one.is_the_relay else f"Start the proxy's program, or: {helps}",
    )

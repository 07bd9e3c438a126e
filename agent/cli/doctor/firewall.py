"""A proxy on this host as containers reach it: whether something stands between them and who listens on the bridge.

Pure. Not known here: how it was tried (`seat.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import msgspec

from agent.cli.doctor.finding import Finding, Sign


class Answer(enum.Enum):
    """What became of a connection from a container's place."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    UNKNOWN = "unknown"  # it could not be tried


class Filter(enum.Enum):
    """Who keeps the rules of this host's firewall."""

    UFW = "ufw"
    FIREWALLD = "firewalld"
    OTHER = "nft"  # somebody's own rules


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One port at the bridge's address, at which somebody of this host listens."""

    upstream: str
    bridge: str
    address: str
    port: int
    answer: Answer
    kept_by: Filter = Filter.OTHER
    why_not: str = ""  # why it could not be tried


def judge(seats: Iterable[Seat]) -> Iterator[Finding]:
    for one in seats:
        if one.answer in (Answer.REFUSED, Answer.SILENT):
            yield Finding(
                code=Sign.FIREWALL,
                is_broken=True,
                where=f"{one.address}:{one.port}",
                what=f"containers cannot reach {one.upstream}, which listens there ({one.answer.value}): "
                f"a firewall on this host blocks them ({one.kept_by.value})",
                why="docker build and docker run are told to use it; docker pull is not affected",
                command=_opening(one),
            )


def _opening(one: Seat) -> str:
    match one.kept_by:
        case Filter.UFW:
            return f"sudo ufw allow in on {one.bridge} to {one.address} port {one.port} proto tcp"
        case Filter.FIREWALLD:
            zone = f'"$(firewall-cmd --get-zone-of-interface={one.bridge})"'
            opened = f"--permanent --zone={zone} --add-port={one.port}/tcp"
            return f"sudo firewall-cmd {opened} && sudo firewall-cmd --reload"
    rule = f'iifname "{one.bridge}" ip daddr {one.address} tcp dport {one.port} accept'
    return (
        f"To the chain that has `hook input` in sudo nft list ruleset: sudo nft insert rule FAMILY TABLE CHAIN {rule}"
    )

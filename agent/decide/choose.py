"""Which upstream to use, and why.

Pure: the network, the verdicts so far and what is left of patience go in, a `Choice` comes out.
Not known here: how a verdict came about, and whether a choice is worth a restart.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from agent.policy import DIRECT_NAME, Network, Unreachable
from agent.verdict import Outcome, Verdict

PATIENCE_S: Final = 5.0  # after a network change DHCP, DNS and VPNs still arrive (FACTS 23)
SOFT_AGAIN_S: Final = (0.3, 0.6, 1.2, 1.2, 1.2)  # when soft verdicts are looked at again


class Ending(enum.Enum):
    """What kind of choice it is."""

    CHOSEN = "chosen"
    WAITING = "waiting"  # a preferred upstream may still come; look again
    PORTAL = "portal"  # nothing works and somebody wants to be asked first: nothing changes
    UNREACHABLE = "unreachable"  # nothing works: nothing changes


class Choice(msgspec.Struct, frozen=True):
    """The upstream picked, with the reason; no upstream unless the ending is CHOSEN."""

    ending: Ending
    because: str
    upstream: str | None = None


def choose(network: Network, verdicts: Mapping[str, Verdict], patience_s: float) -> Choice:
    """The first usable upstream of the network.

    `verdicts` may lack upstreams that were not waited for. While patience lasts, a less preferred upstream waits
    until every more preferred one has failed hard.
    """
    for place, name in enumerate(network.use):
        verdict = verdicts.get(name)
        if verdict is None:
            return Choice(Ending.WAITING, f"{name} has not answered yet")
        if verdict.is_ok:
            return Choice(Ending.CHOSEN, _reason(network, place, verdicts), name)
        if verdict.is_soft and patience_s > 0:
            return Choice(Ending.WAITING, f"{name} may still come: {verdict.outcome.value}")
    if any(verdicts[name].outcome is Outcome.PORTAL for name in network.use):
        return Choice(Ending.PORTAL, f"a portal answers in {network.name}; pass it in a browser: nothing is changed")
    failed = _failures(network.use, verdicts)
    if network.unreachable is Unreachable.DIRECT:
        return Choice(Ending.CHOSEN, f'nothing works ({failed}) and unreachable = "direct"', DIRECT_NAME)
    return Choice(Ending.UNREACHABLE, f"nothing works ({failed}): kept as it is")


def _reason(network: Network, place: int, verdicts: Mapping[str, Verdict]) -> str:
    if len(network.use) == 1:
        return f"the only one of {network.name}, and works"
    if place == 0:
        return f"first of {', '.join(network.use)} that works"
    return f"first of {', '.join(network.use)} that works ({_failures(network.use[:place], verdicts)})"


def _failures(names: tuple[str, ...], verdicts: Mapping[str, Verdict]) -> str:
    return ", ".join(f"{name} {verdicts[name].outcome.value}" for name in names)

"""The period in one sentence, and in a few numbers.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agent.audit.report.values import Chain, Figure
from agent.audit.report.words import count, length, share
from agent.audit.spans import Restart

_NETWORKS_SHOWN: Final = 4


class Sums:
    """Of all that is in the period, also of what has no room on the page."""

    def __init__(self) -> None:
        self.looked_s = 0.0  # an agent ran
        self.moves = 0
        self.networks: dict[str, float] = {}  # seconds
        self.outages = 0
        self.outage_s = 0.0
        self.restarts = 0  # by the agent
        self.unseen_starts = 0  # of Docker, while nobody looked
        self.restart_s = 0.0
        self.rolled_back = 0
        self.lost = 0  # containers

    def was_in(self, network: str | None, seconds: float) -> None:
        if network is not None:
            self.networks[network] = self.networks.get(network, 0.0) + seconds

    def was_out(self, lasted_s: float) -> None:
        self.outages += 1
        self.outage_s += lasted_s

    def restarted(self, one: Restart) -> None:
        self.restarts += not one.is_rolled_back
        self.rolled_back += one.is_rolled_back
        self.restart_s += one.took_s or 0.0
        self.lost += len(one.lost)


def headline(sums: Sums) -> str:
    if not sums.looked_s:
        return "No agent ran in this time, so nothing is known"
    looked = length(sums.looked_s)
    lasted = f"{length(sums.outage_s)} without a registry" if sums.outages else "No outage"
    unseen = f"; {count(sums.unseen_starts, 'start')} of Docker that no agent saw" if sums.unseen_starts else ""
    return f"{lasted} in the {looked} that an agent was watching; {_cost(sums)}{unseen}"


def _cost(sums: Sums) -> str:
    if not sums.restarts:
        rolled_back = f"{count(sums.rolled_back, 'restart')} rolled back"
        return rolled_back if sums.rolled_back else "no restart by the agent"
    lost = f"lost {count(sums.lost, 'container')}" if sums.lost else "lost no containers"
    rolled_back = f", and {sums.rolled_back} rolled back" if sums.rolled_back else ""
    return f"{count(sums.restarts, 'restart')} by the agent took {length(sums.restart_s)} and {lost}{rolled_back}"


def figures(sums: Sums, *, starts: int, orders: int, records: int, chain: Chain) -> tuple[Figure, ...]:
    by_others = starts - sums.restarts - sums.rolled_back - sums.unseen_starts
    others = f"; {count(by_others, 'start')} by others" if by_others else ""
    others += f"; {sums.unseen_starts} while no agent was watching" if sums.unseen_starts else ""
    whole = "whole" if chain.is_whole else "not whole"
    return (
        Figure(str(len(sums.networks)), f"{_plural('network', len(sums.networks))}, {count(sums.moves, 'move')}"),
        Figure(length(sums.outage_s) if sums.outages else "0", _outages(sums), is_bad=sums.outages > 0),
        Figure(str(sums.restarts), f"{_plural('restart', sums.restarts)} by the agent{others}"),
        Figure(str(sums.lost), f"{_plural('container', sums.lost)} lost", is_bad=sums.lost > 0),
        Figure(str(orders), f"{_plural('order', orders)} by people"),
        Figure(str(records), f"{_plural('record', records)}; the log is {whole}", is_bad=not chain.is_whole),
    )


def _outages(sums: Sums) -> str:
    return f"in {count(sums.outages, 'outage')}" if sums.outages else "outages"


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


def of_networks(sums: Sums) -> str:
    """How long it was where, the longest first."""
    shares = " · ".join(_shares(sums))
    return f"{shares} of the time that is known" if shares else ""


def _shares(sums: Sums) -> Iterator[str]:
    whole = sum(sums.networks.values())
    longest = sorted(sums.networks.items(), key=lambda one: -one[1])
    for name, seconds in longest[:_NETWORKS_SHOWN]:
        yield f"{name} {share(seconds, whole)}"

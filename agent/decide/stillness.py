"""How long the network must have stood still before anything is written.

Pure. An address comes before its DNS (FACTS 23): so what was seen first may be half of what is coming. Where what is
there has shown that it is whole, a moment is enough, and more of the very same place may come meanwhile. Not known
here: when it is looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from agent.decide.choose import Choice, Ending
from agent.decide.place import place_of
from agent.decide.recognise import Recognised, may_still_match, recognise
from agent.values.policy import Network
from agent.values.snapshot import Snapshot, Way
from agent.values.verdict import Verdict

STILL_S: Final = 0.3
PROVED_STILL_S: Final = 0.08  # several messages of one change come within


def still_s(
    networks: Sequence[Network],
    snapshot: Snapshot,
    recognised: Recognised,
    choice: Choice,
    *,
    verdicts: Mapping[str, Verdict],
) -> float:
    is_proved = _is_proved(networks, snapshot, recognised, choice=choice, verdicts=verdicts)
    return PROVED_STILL_S if is_proved else STILL_S


def only_more_came(  # noqa: PLR0913 - named at its one call
    networks: Sequence[Network],
    snapshot: Snapshot,
    now: Snapshot,
    *,
    recognised: Recognised,
    choice: Choice,
    verdicts: Mapping[str, Verdict],
) -> bool:
    """Whether what is another by now is no reason to begin anew.

    What has answered did so without the addresses and the DNS that still come to the place where it did.
    """
    by_now = recognise(networks, now)
    return _is_there_still(recognised.network, snapshot, by_now.network, now) and all(
        _is_proved(networks, seen, place, choice=choice, verdicts=verdicts)
        for seen, place in ((snapshot, recognised), (now, by_now))
    )


def _is_there_still(network: Network, snapshot: Snapshot, network_by_now: Network, now: Snapshot) -> bool:
    """In the same place, with all addresses and all DNS that it had there."""
    place = place_of(network, snapshot)
    is_same = place is not None and place == place_of(network_by_now, now)
    return is_same and _changeable(snapshot) <= _changeable(now)


def may_be_answered(snapshot: Snapshot, now: Snapshot) -> bool:
    """Whether what was sent in the one can be answered in the other.

    Not where the host has lost all of its addresses; one of them may come or go, such as that of a virtual machine, and
    it is not known which one an answer comes to. Nor where the way to the world is another one; one may still come.
    """
    ways = ((snapshot.way_ipv4, now.way_ipv4), (snapshot.way_ipv6, now.way_ipv6))
    is_left = any(was is not None and _out_by(was) != _out_by(by_now) for was, by_now in ways)
    return not is_left and bool(_addresses(snapshot) & _addresses(now))


def _out_by(way: Way | None) -> tuple[str, str | None, int] | None:
    return None if way is None else (way.interface, way.gateway, way.table)


def _addresses(snapshot: Snapshot) -> Set[tuple[str, str]]:
    online = (one for one in snapshot.interfaces if one.is_online and one.is_ground)
    return {(one.name, text) for one in online for text in (*one.ipv4, *one.ipv6_64s)}


def _changeable(snapshot: Snapshot) -> Set[tuple[str, str]]:
    """What of a place may come a moment later; by where it is."""
    addresses = ((one.name, text) for one in snapshot.interfaces for text in (*one.ipv4, *one.ipv6_64s))
    servers = (("server", text) for text in snapshot.dns_elsewhere)
    return {*addresses, *servers, *(("search", text) for text in snapshot.dns_search)}


def _is_proved(
    networks: Sequence[Network],
    snapshot: Snapshot,
    recognised: Recognised,
    *,
    choice: Choice,
    verdicts: Mapping[str, Verdict],
) -> bool:
    """A network that was recognised, and whose first upstream has answered: address, route and DNS are there."""
    if recognised.network.match.is_empty:
        return False
    first = recognised.network.use[0]
    answer = verdicts.get(first)
    if choice.ending is not Ending.CHOSEN or choice.upstream != first or answer is None or not answer.is_ok:
        return False
    return not any(may_still_match(network, snapshot) for network in _before(recognised.network, networks))


def _before(network: Network, networks: Sequence[Network]) -> Sequence[Network]:
    names = [one.name for one in networks]  # what its PAC says may be another by now
    return networks[: names.index(network.name)]

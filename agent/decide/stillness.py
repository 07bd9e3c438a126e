"""How long the network must have stood still before anything is written.

Pure. An address comes before its DNS (FACTS 23): so what was seen first may be half of what is coming. Where what is
there has shown that it is whole, a moment is enough. Not known here: what standing still is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agent.decide.choose import Choice, Ending
from agent.decide.recognise import Recognised, may_still_match
from agent.values.policy import Network
from agent.values.snapshot import Snapshot
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
    """A network that was recognised, and whose first upstream has answered: address, route and DNS are there."""
    if recognised.network.match.is_empty:
        return STILL_S
    first = recognised.network.use[0]
    answer = verdicts.get(first)
    if choice.ending is not Ending.CHOSEN or choice.upstream != first or answer is None or not answer.is_ok:
        return STILL_S
    if any(may_still_match(network, snapshot) for network in _before(recognised.network, networks)):
        return STILL_S
    return PROVED_STILL_S


def _before(network: Network, networks: Sequence[Network]) -> Sequence[Network]:
    return networks[: networks.index(network)]

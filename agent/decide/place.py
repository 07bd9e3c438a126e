"""Where the host is, whatever its addresses and its DNS are at the moment: a hole in them is not a move.

Pure. Not known here: what a hole is forgiven (`history.py`, `choose.py`).
"""

from __future__ import annotations

import msgspec

from agent.values.policy import Network
from agent.values.snapshot import Snapshot


class Whereabouts(msgspec.Struct, frozen=True):
    """The policy's network, and all of the host's but addresses and DNS: links, SSIDs, gateways and ways."""

    network: str
    around: Snapshot


def place_of(network: Network, snapshot: Snapshot) -> Whereabouts | None:
    """None: nothing but its addresses tells this place from others."""
    around = snapshot.around()
    return Whereabouts(network.name, around) if around is not None else None

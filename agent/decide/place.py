"""Where the host is, apart from addresses and DNS: a gap in those is not a move.

Pure. Not known here: what a hole is forgiven (`history.py`, `choose.py`).
"""

from __future__ import annotations

import msgspec

from agent.values.policy import Network
from agent.values.snapshot import Snapshot


class Whereabouts(msgspec.Struct, frozen=True):
    """The policy's network, and the host's without addresses and DNS: links, SSIDs, gateways and routes."""

    network: str
    around: Snapshot


def place_of(network: Network, snapshot: Snapshot) -> Whereabouts | None:
    """None: only its addresses tell this place from others."""
    around = snapshot.around()
    return Whereabouts(network.name, around) if around is not None else None

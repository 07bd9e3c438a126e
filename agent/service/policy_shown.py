"""Which file each part of a policy is from, as `status` and `check` show it.

Pure. Not known here: how it is drawn.
"""

from __future__ import annotations

from typing import Final

from agent.service.status_file import PolicyPart
from agent.system.policy_file import Loaded

_MOST_FILES: Final = 200  # more of anything would be cut on its way into status.json
_MOST_NAMES: Final = 200  # of one file,
_MOST: Final = 2000  # and of all


def parts_shown(loaded: Loaded) -> tuple[PolicyPart, ...]:
    """In the order in which they count."""
    origins, left, parts = loaded.origins, _MOST, []
    upstreams: dict[str, list[str]] = {}
    networks: dict[str, list[str]] = {}
    for name, file in origins.upstreams.items():
        upstreams.setdefault(file, []).append(name)
    for network, spot in zip(loaded.policy.networks, origins.networks, strict=True):
        networks.setdefault(spot.file, []).append(network.name)
    for file in origins.files[:_MOST_FILES]:
        part = PolicyPart(
            file,
            upstreams=tuple(upstreams.get(file, ())[: min(_MOST_NAMES, left)]),
            networks=tuple(networks.get(file, ())[: min(_MOST_NAMES, left)]),
            tables=tuple(name for name, its in origins.tables.items() if its == file),
        )
        left = max(0, left - len(part.upstreams) - len(part.networks))
        parts.append(part)
    return tuple(parts)

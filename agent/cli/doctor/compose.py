"""Services of Compose that other containers would look for through the proxy, because noProxy does not name them.

Pure. Not known here: which containers there are (`look.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.probe.no_proxy import excludes

_SERVICE: Final = "com.docker.compose.service"
_PROJECT: Final = "com.docker.compose.project"
_PORT: Final = 80  # any: the entries that Docker's clients write have none


class Compose(msgspec.Struct, frozen=True, kw_only=True):
    """Services that run, by project; and what a new container gets."""

    services: Mapping[str, frozenset[str]] = {}
    has_proxy: bool = False  # whether a new container gets one
    no_proxy: tuple[str, ...] = ()


def services_of(containers: tuple[Mapping[str, Any], ...]) -> dict[str, frozenset[str]]:
    """Of the containers that run, as Docker inspects them. A service alone in its project is asked by nobody there."""
    found: dict[str, set[str]] = {}
    for one in containers:
        labels = (one.get("Config") or {}).get("Labels") or {}
        if (one.get("State") or {}).get("Running") and labels.get(_SERVICE):
            found.setdefault(str(labels.get(_PROJECT) or ""), set()).add(str(labels[_SERVICE]))
    return {project: frozenset(names) for project, names in found.items() if len(names) > 1}


def judge(seen: Compose) -> Iterator[Finding]:
    for project, names in sorted(seen.services.items()) if seen.has_proxy else ():
        missing = sorted(name for name in names if not excludes(seen.no_proxy, name, _PORT))
        if missing:
            yield Finding(
                code=Sign.COMPOSE_SERVICES,
                is_broken=False,
                where=f"project {project}",
                what=f"the containers' no_proxy lacks {', '.join(missing)}",
                why="programs that honour the proxy ask it for other services, whose names it does not know",
                command=f"Add to no_proxy in the policy: {', '.join(missing)}; then recreate the containers",
            )

"""What else runs containers on this system, and is not served: where its proxy settings are, for the person who has it.

Pure. Nothing of theirs is ever written. Not known here: how it is found out what runs (`docker/which.py`).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

import msgspec


class Other(msgspec.Struct, frozen=True):
    """One of them."""

    name: str
    units: tuple[str, ...]
    settings: str  # where they are


PODMAN: Final = Other(
    "podman",
    ("podman.service", "podman.socket"),
    "podman takes its proxy from the environment of who calls it, or from `env` below [engine] in containers.conf",
)
OTHERS: Final = (
    PODMAN,
    Other(
        "k3s",
        ("k3s.service", "k3s-agent.service"),
        "k3s takes its proxy from /etc/systemd/system/k3s.service.env, an agent of it from k3s-agent.service.env",
    ),
    Other(
        "containerd",
        ("containerd.service",),
        "containerd takes its proxy from its unit (systemctl edit containerd), nerdctl from its caller's environment",
    ),
)


def running(units: Container[str]) -> tuple[Other, ...]:
    """Those that run. `units`: of all units the ones that do."""
    return tuple(other for other in OTHERS if any(unit in units for unit in other.units))


def told(others: Sequence[Other]) -> tuple[str, str]:
    """That the agent does not serve them, and where their settings are; two empty texts for nobody."""
    if not others:
        return "", ""
    names = " and ".join(other.name for other in others)
    them = "it" if len(others) == 1 else "them"
    run = "runs" if len(others) == 1 else "run"
    return f"{names} {run} here; the agent does not manage {them}", "; ".join(other.settings for other in others)

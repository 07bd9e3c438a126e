"""Which of several Dockers on one system is served, where the policy names none.

Pure: what is known of each comes in, the unit of one goes out. Not known here: how that is found out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Known(msgspec.Struct, frozen=True):
    """Of one Docker."""

    service: str
    runs: bool  # or is on its way up or down
    is_served: bool  # until now
    starts_at_boot: bool
    is_there: bool  # systemd has a unit of that name


def which(dockers: Sequence[Known]) -> str:
    """The first, the usual one, if it runs or the next boot starts it: an upgrade that stops it is no change.

    Else what runs. Else what was served, as long as it is there: it may be between two starts. Else what the next boot
    brings up, and what could be started. Of two that are equal in this the first.
    """
    usual = dockers[0]
    return (usual if usual.runs or usual.starts_at_boot else max(dockers, key=_rank)).service


def _rank(docker: Known) -> tuple[bool, bool, bool, bool]:
    return docker.runs, docker.is_served and docker.is_there, docker.starts_at_boot, docker.is_there

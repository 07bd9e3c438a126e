"""Everything of Docker's that carries settings, as dockerd reports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Inspected = Mapping[str, Any]  # as dockerd's API answers, which is not ours to define


class Inventory(msgspec.Struct, frozen=True):
    """At one moment. Environments may hold passwords, so it never shows."""

    containers: tuple[Inspected, ...] = ()  # all, also those that do not run
    images: Mapping[str, Inspected] = {}  # by id
    name_servers: Mapping[str, tuple[str, ...]] = {}  # by id of a container that runs: whom it asks, if that is known
    left_out: int = 0  # containers and images that are too many to be asked for

    def __repr__(self) -> str:
        return f"Inventory({len(self.containers)} containers, {len(self.images)} images)"

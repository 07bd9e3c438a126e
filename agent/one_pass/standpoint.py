"""Where dockerd stands, and so where a probe does: on this host, or in a network of dockerd's own.

A dockerd that does not run keeps its vantage, for its next start is most likely like its last one; but nobody can stand
where it stood. Then a probe stands here: for all but this host's own addresses the ways are the same (FACTS 141).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.docker.inside import Inside
from agent.probe.dial import HERE, Address, Ground
from agent.system.process_start import started
from agent.values.dockerd import Reality
from agent.values.vantage import HOST, Vantage


class Stand(msgspec.Struct, frozen=True):
    """Where a probe stands now."""

    vantage: Vantage = HOST
    ground: Ground = HERE


class Standpoint:
    """That of one Docker, by the last look at it."""

    def __init__(self) -> None:
        self.vantage = HOST
        self._dockerd = (0, 0)  # its process, and when that started
        self._inside: Inside | None = None

    def note(self, reality: Reality) -> None:
        """After each look."""
        dockerd = (reality.dockerd, started(reality.dockerd) or 0) if reality.dockerd else (0, 0)
        if dockerd[0]:
            self.vantage = reality.vantage
        if dockerd == self._dockerd:
            return
        self.leave()
        self._dockerd = dockerd
        if dockerd[0] and not reality.vantage.is_host:
            try:
                self._inside = Inside(dockerd[0])
            except OSError:  # it has just ended: the next look finds that
                self._dockerd = (0, 0)

    @property
    def now(self) -> Stand:
        if self._inside is None:
            return Stand()
        return Stand(self.vantage, Ground(self._inside.resolve, self._inside.connect))

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """As names are looked up there now."""
        return await self.now.ground.resolve(host, port)

    def leave(self) -> None:
        """End what stands there."""
        if self._inside is not None:
            self._inside.end()
            self._inside = None

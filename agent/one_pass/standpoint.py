"""The network namespace in which dockerd runs, and so a probe does: this host's, or one of dockerd's own.

A dockerd that does not run keeps its vantage, also over a boot, because its next start is most likely like the last
one. But its namespace is gone then, so a probe runs in this host's: except for this host's own addresses, the routes
are the same (FACTS 141).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.docker.inside import Inside
from agent.one_pass.vantage_file import VantageFile
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
        self._of: tuple[Path, str] | None = None
        self._kept = HOST  # on disk

    def serve(self, state: Path, unit: str) -> None:
        """It is that of the Docker of this unit from now on."""
        if self._of == (state, unit):
            return
        self.leave()
        self._of, self._dockerd = (state, unit), (0, 0)
        self.vantage = self._kept = VantageFile(state, unit).load()

    def keep(self) -> None:
        """For the next agent. The caller holds the lock."""
        if self._of is not None and self.vantage != self._kept:
            self._kept = self.vantage
            VantageFile(*self._of).save(self._kept)

    def note(self, reality: Reality) -> None:
        """After each look."""
        dockerd = (reality.dockerd, started(reality.dockerd) or 0) if reality.dockerd else (0, 0)
        if dockerd[0] and reality.vantage is not None:
            self.vantage = reality.vantage
        if dockerd == self._dockerd:
            return
        self.leave()
        self._dockerd = dockerd if reality.vantage is not None else (0, 0)  # else the next look finds where it stands
        if self._dockerd[0] and not self.vantage.is_host:
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
        """End the process that probes from there."""
        if self._inside is not None:
            self._inside.end()
            self._inside = None

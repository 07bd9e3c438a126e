"""Which step of a probe is under way, and how long each took.

Separate from the probe, so that a timeout can still say where it hung.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

from agent.values.verdict import Timings


class Step(enum.Enum):
    """The steps of a probe in their order; the values are the fields of `Timings`."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    PROXY = "proxy"
    TLS = "tls"
    ANSWER = "answer"


class Stopwatch:
    """Starts when it is created."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = self._entered = clock()
        self._took_ms: dict[Step, float] = {}
        self.step: Step | None = None
        self.doing = "starting"

    def enter(self, step: Step, doing: str) -> None:
        """End the step before. `doing` tells a person what happens now."""
        self._leave()
        self.step, self.doing = step, doing

    def timings(self) -> Timings:
        """How long each step took so far."""
        self._leave()
        took = {step.value: round(ms, 1) for step, ms in self._took_ms.items()}
        return Timings(**took, total=round(1000 * (self._clock() - self._started), 1))

    def _leave(self) -> None:
        now = self._clock()
        if self.step is not None:
            self._took_ms[self.step] = self._took_ms.get(self.step, 0.0) + 1000 * (now - self._entered)
        self._entered = now

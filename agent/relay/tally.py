"""What the relay has done so far, counted: the source of state.json and of the lines in the journal.

What comes from outside is cut and escaped here, once. Not known here: when it is written, and where to.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from agent.probe.stream import StreamFailed
from agent.values.relay import (
    LONGEST_TEXT,
    MOST_REFUSED,
    MOST_UNTOLD,
    MOST_UPSTREAMS,
    Carried,
    RefusedSource,
    RelayState,
    UpstreamFailed,
)
from agent.values.secret import escaped

REFUSED_IS_NEWS_S: Final = 60.0
FAILED_IS_NEWS_S: Final = 5.0


class _Counted:
    """By one upstream."""

    __slots__ = ("bytes_down", "bytes_up", "connections", "failed", "open")

    def __init__(self) -> None:
        self.open = self.connections = self.failed = self.bytes_up = self.bytes_down = 0


class Tally:
    """Of one relay. `news` counts what the agent should hear of soon; `changes` also what may wait.

    What strangers and containers can cause is news only now and then: the agent wakes at it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused_at = self._failed_at = float("-inf")  # when it was news
        self.news = 0
        self.changes = 0
        self._by_upstream: dict[str, _Counted] = {}
        self._failed: UpstreamFailed | None = None
        self._refused: OrderedDict[str, int] = OrderedDict()
        self._untold: dict[str, None] = {}
        self._generation = 0
        self._problem = ""
        self._started_s = time.clock_gettime(time.CLOCK_BOOTTIME)

    def note_orders(self, generation: int, problem: str) -> None:
        if (generation, problem) != (self._generation, self._problem):
            self._generation, self._problem = generation, escaped(problem, LONGEST_TEXT)
            self.news += 1

    def note_opened(self, upstream: str) -> None:
        counted = self._of(upstream)
        counted.open += 1
        counted.connections += 1
        self.changes += 1

    def note_moved(self, upstream: str, up: int, down: int) -> None:
        counted = self._of(upstream)
        counted.bytes_up += up
        counted.bytes_down += down
        self.changes += 1

    def note_closed(self, upstream: str) -> None:
        self._of(upstream).open -= 1
        self.changes += 1

    def note_failed(self, upstream: str, failure: StreamFailed, used: str = "") -> None:
        self._of(upstream).failed += 1
        now = self._clock()
        was = self._failed.upstream if self._failed else None
        self._failed = UpstreamFailed(
            self._failed.number + 1 if self._failed else 1, escaped(upstream, LONGEST_TEXT), failure.outcome.value,
            evidence=escaped(failure.evidence, LONGEST_TEXT), generation=self._generation,
            used=escaped(used, LONGEST_TEXT),
        )  # fmt: skip
        self.changes += 1
        if self._failed.upstream != was or now - self._failed_at >= FAILED_IS_NEWS_S:
            self._failed_at = now
            self.news += 1

    def note_refused(self, source: str) -> None:
        self._refused[source] = self._refused.pop(source, 0) + 1
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)
        self.changes += 1
        now = self._clock()
        if now - self._refused_at >= REFUSED_IS_NEWS_S:
            self._refused_at = now
            self.news += 1

    def note_untold(self, bridge: str) -> None:
        """Somebody connects through this bridge, and the agent has not said yet whether its network leads out."""
        if bridge not in self._untold and len(self._untold) < MOST_UNTOLD:
            self._untold[bridge] = None
            self.changes += 1
            self.news += 1

    def note_told(self, bridge: str) -> None:
        if bridge in self._untold:
            del self._untold[bridge]
            self.changes += 1
            self.news += 1

    def totals(self) -> dict[str, tuple[int, int, int, int]]:
        """By upstream: connections, those that failed, bytes from clients, bytes to clients."""
        return {
            name: (one.connections, one.failed, one.bytes_up, one.bytes_down)
            for name, one in self._by_upstream.items()
        }  # fmt: skip

    def state(self, turned_away: int) -> RelayState:
        carried = [
            Carried(
                escaped(name, LONGEST_TEXT), one.open, one.connections,
                failed=one.failed, bytes_up=one.bytes_up, bytes_down=one.bytes_down,
            )
            for name, one in self._by_upstream.items()
        ]  # fmt: skip
        return RelayState(
            self._generation,
            pid=os.getpid(),
            started_s=self._started_s,
            connections=sum(one.open for one in carried),
            carried=tuple(carried[-MOST_UPSTREAMS:]),
            failed=self._failed,
            refused=tuple(RefusedSource(source, times) for source, times in reversed(self._refused.items())),
            untold=tuple(escaped(bridge, LONGEST_TEXT) for bridge in self._untold),
            turned_away=turned_away,
            problem=self._problem,
        )

    def _of(self, upstream: str) -> _Counted:
        counted = self._by_upstream.get(upstream)
        if counted is None:
            if len(self._by_upstream) >= MOST_UPSTREAMS:
                self._forget_one()
            counted = self._by_upstream[upstream] = _Counted()
        return counted

    def _forget_one(self) -> None:
        """The oldest one without an open connection: it belongs to an earlier policy."""
        for name, one in self._by_upstream.items():
            if not one.open:
                del self._by_upstream[name]
                return

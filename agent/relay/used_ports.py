"""How many connections are opened to one place for containers, so that this host keeps ports for its own.

A connection that is ended from here first, as each is whose client has closed, keeps its port for a minute. To one
place there are 28,000, and once half of them are taken, each connect(2) takes 2 to 3 ms (FACTS 262). Docker and all
containers go to the same proxy; and a container that connects by itself, without the relay, uses no port of this host.
Not known here: what is answered to who is refused.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from agent.relay.limits import Whose
from agent.relay.who import End

MOST: Final = 13_000  # to one place, in the time below: less than half of the ports
FEW: Final = 1_000  # up to here it is not asked whose they are
_SLOT_S: Final = 10.0
_SLOTS: Final = 7  # the last minute, and a part of the one before
_MOST_PLACES: Final = 4096  # in a slot
_HARDLY_ANY: Final = 16

_NOBODYS: Final = ""


class _Opened:
    """To one place."""

    __slots__ = ("by_source", "total")

    def __init__(self) -> None:
        self.total = 0
        self.by_source = Counter[str]()


class UsedPorts:
    """By containers, in the last minute."""

    def __init__(self, whose: Whose = list, clock: Callable[[], float] = time.monotonic) -> None:
        self._whose = whose
        self._clock = clock
        self._slots: deque[dict[End, _Opened]] = deque(maxlen=_SLOTS)
        self._slot = -1

    def why_not(self, place: End, peer: str) -> str:
        """Why no connection may be opened there for this container; '' if one may, and then it is counted."""
        now = self._now()
        opened = [slot[place] for slot in self._slots if place in slot]
        total, source = sum(one.total for one in opened), _NOBODYS
        if total >= FEW:
            (source,) = self._whose([peer])
            # Who has none yet gets some: one alone has at most two thirds of all.
            if sum(one.by_source[source] for one in opened) >= 2 * (MOST - total):
                host, port = place
                return f"{total} connections to {host} port {port} were opened for containers within a minute"
        if place not in now and len(now) >= _MOST_PLACES:
            for other in [other for other, one in now.items() if one.total < _HARDLY_ANY]:
                del now[other]
        here = now.setdefault(place, _Opened())
        here.total += 1
        here.by_source[source] += 1
        return ""

    def _now(self) -> dict[End, _Opened]:
        slot = int(self._clock() / _SLOT_S)
        for _ in range(min(slot - self._slot, _SLOTS)):
            self._slots.append({})
        self._slot = slot
        return self._slots[-1]

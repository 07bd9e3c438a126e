"""Connections that are accepted and not served yet. If there are many, root's go first: dockerd's and the agent's.

The kernel's own queue is first in, first out, and any user of this host can fill it. So it is emptied at once, and
connections wait here instead. The sources take turns, so that a source with one connection neither waits behind all
those of a source that connects all the time, nor is turned away because of them. While there are only a few, the kernel
is not asked whose they are.
Not known here: sockets, how the kernel is asked, and what is answered to a connection that is turned away.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

from agent.relay.by_source import BySource

FEW: Final = 16
# A client that is turned away comes again at once, and is then in root's way; one that waits is not. But each may have
# sent 64 KB, which counts as our memory once the connection is accepted.
MOST: Final = 2048  # others than root's
HELD: Final = 4096  # until they are turned away, one after the other
# In one turn, before everything else has its turn: root's connection needs several turns.
SERVED: Final = 16
TURNED_AWAY: Final = 64

_One = TypeVar("_One")


class Turn(enum.Enum):
    """What becomes of a connection now."""

    SERVED = "it is served, whoever's it is"
    ROOTS = "it is served as root's"
    OTHERS = "it is served as somebody else's"
    TOO_MANY = "it is turned away"


class Arrivals(Generic[_One]):
    """Of one relay."""

    def __init__(
        self,
        are_roots: Callable[[Sequence[_One]], Sequence[bool]],
        is_gone: Callable[[_One], bool],
        *,
        whose: Callable[[Sequence[_One]], Sequence[str]],
        has_its_share: Callable[[str, _One], bool],
    ) -> None:
        """`is_gone`: it has closed without a request. Serving it would take as long as any other.

        `whose`: the sources they count for; `has_its_share`: the source has all that it may, so this one is too many.
        """
        self._are_roots = are_roots
        self._is_gone = is_gone
        self._whose = whose
        self._has_its_share = has_its_share
        self._new: list[_One] = []
        self._others = BySource[_One]()

    def __len__(self) -> int:
        return len(self._new) + len(self._others)

    @property
    def room(self) -> int:
        return HELD - len(self)

    def add(self, one: _One) -> None:
        self._new.append(one)

    def next_ones(self, most: int = MOST) -> Iterator[tuple[_One, Turn]]:
        """Those who wait no longer, root's first. At most so many others may still wait afterwards, or soon."""
        new, self._new = self._new, []
        if len(new) + len(self._others) <= FEW:
            yield from ((one, Turn.OTHERS) for one in self._taken())
            yield from ((one, Turn.SERVED) for one in new)
            return
        for one, is_roots, whose in zip(new, self._are_roots(new), self._whose(new), strict=True):
            if is_roots:
                yield one, Turn.ROOTS
            else:
                self._others.add(whose, one)
        served = turned_away = 0
        while self._others and served < SERVED and turned_away < TURNED_AWAY:
            one = self._others.next()
            is_gone = self._is_gone(one)
            served, turned_away = served + (not is_gone), turned_away + is_gone
            yield one, Turn.TOO_MANY if is_gone else Turn.OTHERS
        if len(self._others) > most:
            too_many = self._too_many(min(len(self._others) - most, TURNED_AWAY - turned_away))
            yield from ((one, Turn.TOO_MANY) for one in too_many)

    def all(self) -> Iterator[_One]:
        """They wait no longer, any of them."""
        new, self._new = self._new, []
        yield from (*self._taken(), *new)

    def _taken(self) -> Iterator[_One]:
        while self._others:
            yield self._others.next()

    def _too_many(self, count: int) -> Iterator[_One]:
        """Each the newest of the source that has most waiting; of those that have their share already, if any have."""
        ranked = [
            (not self._has_its_share(whose, newest), -waiting, -place, whose)
            for place, (whose, waiting, newest) in enumerate(self._others.counts())
        ]
        heapq.heapify(ranked)
        for _ in range(count):
            has_room, less, place, whose = heapq.heappop(ranked)
            yield self._others.newest(whose)
            if whose in self._others:
                heapq.heappush(ranked, (has_room, less + 1, place, whose))

"""A queue in which sources take turns: a source with one entry does not wait behind all those of a source with many.

Not known here: what they wait for, and whose they are.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from agent.relay.limits import ROOTS

FEW: Final = 16  # that wait; of more it is asked whose they are

_One = TypeVar("_One")


class BySource(Generic[_One]):
    """Of one source, the one that came first is first."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[_One]] = OrderedDict()  # whose turn is next first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, source: str) -> bool:
        return source in self._waiting

    def add(self, source: str, one: _One) -> None:
        self._waiting.setdefault(source, deque()).append(one)
        self._count += 1

    def next(self, source: str | None = None) -> _One:
        """The one that has waited longest of the source whose turn it is, or of this one."""
        if source is None:
            source = next(iter(self._waiting))
        theirs = self._waiting.pop(source)
        one = theirs.popleft()
        if theirs:
            self._waiting[source] = theirs
        self._count -= 1
        return one

    def newest(self, source: str) -> _One:
        """The one of this source that came last waits no longer; whose turn is next stays as it is."""
        theirs = self._waiting[source]
        one = theirs.pop()
        if not theirs:
            del self._waiting[source]
        self._count -= 1
        return one

    def counts(self) -> Iterator[tuple[str, int, _One]]:
        """Each source, whose turn is next first, with how many it has waiting, and the newest of them."""
        return ((source, len(theirs), theirs[-1]) for source, theirs in self._waiting.items())


class Line(Generic[_One]):
    """The same for those of whom root has every other turn, and nobody is asked whose they are while they are few."""

    def __init__(self) -> None:
        self._waiting = BySource[_One]()
        self._was_roots = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, whose: Callable[[], str], one: _One) -> None:
        self._waiting.add(whose() if len(self) >= FEW else "", one)

    def next(self) -> _One:
        """Not each time root's: what it asks of the world may never come to an end, either."""
        self._was_roots = not self._was_roots and ROOTS in self._waiting
        return self._waiting.next(ROOTS if self._was_roots else None)

"""How many connections there may be at once, and whose: neither one container nor all of them can take them all.

A part is reserved for this host itself, because a container can use any number of addresses. Half of that is reserved
for root, above all for dockerd and the agent, because every user of this host comes from the same address as they do.

Of the containers' part, none has more than a quarter of all, nor more than what is left for the others: so a container
that has none yet gets some, however many work together. As long as there is enough for all, a container is identified
by its address; when connections get scarce, by where its frames come from (`who.py`), so that all its addresses are one
source.
Not known here: what is answered to a connection that is turned away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

THIS_HOST: Final = "this host"  # as a source
ROOTS: Final = "root"  # of this host, where it is not to wait for the others of it
Whose = Callable[[Sequence[str]], Sequence[str]]  # the sources that addresses of containers count for
_SHARE: Final = 4  # of all connections, a source may have one in so many
_ROOTS_SHARE: Final = 8  # and one in so many is root's alone


def counts_for(peer: str, whose: Whose, *, is_container: bool, is_roots: Callable[[], bool]) -> str:
    """The source of a connection, where root is one of its own."""
    if is_container:
        return whose([peer])[0]
    return ROOTS if is_roots() else THIS_HOST


class Seat:
    """What one connection takes."""

    __slots__ = ("address", "is_container", "whose")

    def __init__(self, address: str, *, is_container: bool) -> None:
        self.address = address
        self.is_container = is_container
        self.whose = address if is_container else THIS_HOST


class Limits:
    """The connections that are open now, by whose they are."""

    def __init__(self, most: int, whose: Whose = list) -> None:
        self.most = most
        self.open = 0
        self.of_containers = 0
        self.turned_away = 0
        self._whose = whose
        self._by_source: dict[str, int] = {}
        self._by_address: set[Seat] = set()  # of containers, known by that alone

    @property
    def most_of_one(self) -> int:
        return max(1, self.most // _SHARE)

    @property
    def most_of_containers(self) -> int:
        """All of them together: a quarter is this host's alone."""
        return max(1, self.most - self.most // _SHARE)

    @property
    def most_of_others(self) -> int:
        return max(1, self.most - self.most // _ROOTS_SHARE)

    @property
    def is_scarce(self) -> bool:
        """Whether one container may have half of its share, by however many addresses."""
        return 2 * self.of_containers >= self.most_of_one

    def has_its_share(self, source: str, *, is_container: bool) -> bool:
        """Whether one more of it would be turned away though there is room for others."""
        has = self._by_source.get(source, 0)
        return has >= self.most_of_one or (is_container and has >= self._left_for_containers)

    def admit(self, seat: Seat, is_roots: Callable[[], bool] = lambda: False) -> str:
        """Why there is no room for it; '' if there was, and then it is counted until `leave`.

        `is_roots`: only asked if there is no room for others.
        """
        if seat.is_container and self.is_scarce:
            self._place()
            (seat.whose,) = self._whose([seat.address])
        why = self._why_not(seat)
        if why and (self.open >= self.most or seat.is_container or not is_roots()):
            self.turned_away += 1
            return why
        if seat.is_container and not self.is_scarce:
            self._by_address.add(seat)
        self.open += 1
        self.of_containers += seat.is_container
        self._by_source[seat.whose] = self._by_source.get(seat.whose, 0) + 1
        return ""

    def leave(self, seat: Seat) -> None:
        self.open -= 1
        self.of_containers -= seat.is_container
        self._by_address.discard(seat)
        self._forget(seat.whose)

    @property
    def _left_for_containers(self) -> int:
        return min(self.most_of_containers - self.of_containers, self.most_of_others - self.open)

    def _why_not(self, seat: Seat) -> str:
        has = self._by_source.get(seat.whose, 0)
        left = self._left_for_containers
        if self.open >= self.most:
            return f"all {self.most} connections of the relay are in use"
        if seat.is_container and self.of_containers >= self.most_of_containers:
            return (
                f"containers have {self.of_containers} of {self.most} connections; the rest are reserved for this host"
            )
        if has >= self.most_of_one:
            return f"{_named(seat)} has {has} connections, and no source may have more than a quarter of {self.most}"
        if self.open >= self.most_of_others:
            return f"{self.open} of {self.most} connections are in use; the rest are reserved for root on this host"
        if seat.is_container and has >= left:
            return f"{_named(seat)} has {has} connections; the rest are reserved for other containers"
        return ""

    def _place(self) -> None:
        """Those that were known by their address alone."""
        seats, self._by_address = tuple(self._by_address), set()
        for seat, whose in zip(seats, self._whose([seat.address for seat in seats]), strict=True):
            self._forget(seat.whose)
            seat.whose = whose
            self._by_source[whose] = self._by_source.get(whose, 0) + 1

    def _forget(self, source: str) -> None:
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]


def _named(seat: Seat) -> str:
    """For a person: a port of a bridge is called by an address that is behind it."""
    if not seat.is_container:
        return THIS_HOST
    return seat.address if seat.whose == seat.address else f"the container at {seat.address}"

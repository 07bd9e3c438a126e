"""How many connections there may be at once, and of whom: one container does not take them all, nor do all of them.

What this host itself needs is kept free: a container may have as many addresses as it likes. And of that, what root
needs, dockerd and the agent above all: any user of this host comes from the same address as they do.
Not known here: what those are answered that are too many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_SHARE: Final = 4  # of all connections, a source may have one in so many
_ROOTS_SHARE: Final = 8  # and one in so many is root's alone


class Limits:
    """The connections that are open now, by the address that they come from."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.open = 0
        self.of_containers = 0
        self.turned_away = 0
        self._by_source: dict[str, int] = {}

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

    def has_its_share(self, source: str, *, is_container: bool) -> bool:
        """Whether one more of it would be turned away though there is room for others."""
        is_full = is_container and self.of_containers >= self.most_of_containers
        return is_full or self._by_source.get(source, 0) >= self.most_of_one

    def admit(self, source: str, *, is_container: bool, is_roots: Callable[[], bool] = lambda: False) -> str:
        """Why there is no room for one more; '' if there was, and then it is counted until `leave`.

        `is_roots`: only asked if there is no room for others.
        """
        of_source = self._by_source.get(source, 0)
        why = ""
        if self.open >= self.most:
            why = f"all {self.most} connections of the relay are in use"
        elif is_container and self.of_containers >= self.most_of_containers:
            why = f"containers have {self.of_containers} of {self.most} connections, and the rest is for this host"
        elif of_source >= self.most_of_one:
            why = f"{source} has {of_source} connections, and no source may have more than a quarter of {self.most}"
        elif self.open >= self.most_of_others:
            why = f"{self.open} of {self.most} connections are in use, and the rest is for root on this host"
        if why and (self.open >= self.most or is_container or not is_roots()):
            self.turned_away += 1
            return why
        self.open += 1
        self.of_containers += is_container
        self._by_source[source] = of_source + 1
        return ""

    def leave(self, source: str, *, is_container: bool) -> None:
        self.open -= 1
        self.of_containers -= is_container
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]

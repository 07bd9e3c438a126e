"""What a program reads of us or a file keeps for a person: plain values, bounded, and nothing secret among them.

Pure. The one way from a value to JSON: names and texts are cut, redacted and on one line (`secret.escaped`), and long
lists, deep ones and numbers that JSON does not know are cut as well. So whatever others wrote, it is short, can
be encoded, and holds nothing that a terminal would obey. Passing it twice changes nothing.
Not known here: how the values of the house are shown (`audit/facts.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AnySet
from itertools import islice
from typing import Any, Final

import msgspec

from agent.values.secret import MORE, escaped

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

_LARGEST_INT: Final = 1 << 63  # what JSON readers agree on


class Bounds(msgspec.Struct, frozen=True):
    """How much of a value is shown."""

    text: int = 2000  # characters; the longest no_proxy of a company that was seen had 1500
    items: int = 256  # of a list, or names in an object
    depth: int = 8
    values: int = 10_000  # in all: lists in lists multiply


BOUNDS: Final = Bounds()

Otherwise = Callable[[object], object]


def undecided(value: object) -> TypeError:
    """The error for a type that nobody decided about."""
    return TypeError(f"{type(value).__name__} is not a fact: say in audit/facts.py how it is shown")


def _undecided(value: object) -> object:
    raise undecided(value)


def plain(value: object, otherwise: Otherwise = _undecided, bounds: Bounds = BOUNDS) -> Plain:
    """The value as JSON may hold it. `otherwise` makes one that JSON does not know into one that it does."""
    return _Showing(otherwise, bounds).shown(value, bounds.depth)


class _Showing:
    """One value on its way, and how many values may still follow."""

    def __init__(self, otherwise: Otherwise, bounds: Bounds) -> None:
        self._otherwise = otherwise
        self._bounds = bounds
        self._left = bounds.values

    def shown(self, value: object, depth: int) -> Plain:
        self._left -= 1
        return MORE if self._left < 0 else self._shown(value, depth)

    def _shown(self, value: object, depth: int) -> Plain:
        match value:
            case None | bool():
                return value
            case str():
                return escaped(value, self._bounds.text)
            case int():
                return int(value) if -_LARGEST_INT <= value < _LARGEST_INT else MORE
            case float():
                return float(value) if math.isfinite(value) else str(float(value))
            case Mapping():
                return self._object(value, depth)
            case list() | tuple():
                return self._list(value, depth)
            case AnySet():  # in the order of what is shown
                return self._list(sorted((self._shown(item, depth) for item in value), key=str), depth)
        return self._shown(self._otherwise(value), depth)

    def _object(self, value: Mapping[Any, object], depth: int) -> Plain:
        if value and not depth:
            return MORE
        kept, left = self._kept(len(value))
        shown = {self._name(key): self.shown(item, depth - 1) for key, item in islice(value.items(), kept)}
        return {**shown, MORE: self.shown(f"and {left} more", depth)} if left else shown

    def _list(self, value: Sequence[object], depth: int) -> Plain:
        if value and not depth:
            return MORE
        kept, left = self._kept(len(value))
        items = [self.shown(item, depth - 1) for item in value[:kept]]
        return [*items, self.shown(f"{MORE} and {left} more", depth)] if left else items

    def _kept(self, length: int) -> tuple[int, int]:
        """How many are shown, and how many are not: with the word on those there are as many as may be."""
        kept = length if length <= self._bounds.items else self._bounds.items - 1
        return kept, length - kept

    def _name(self, key: object) -> str:
        shown = self._shown(key, 0)
        if not isinstance(shown, str):
            raise TypeError(f"{type(key).__name__} is not the name of a fact")
        return shown

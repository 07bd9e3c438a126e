"""What a program reads of us or a file keeps for a person: plain values, bounded, and nothing secret among them.

Pure. The one way from a value to JSON: names and texts are cut, redacted and on one line (`secret.escaped`), and long
lists, deep ones and numbers that JSON does not know are cut as well. So whatever somebody else wrote, it is short, can
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

from agent.secret import MORE, escaped

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

_LARGEST_INT: Final = 1 << 63  # what JSON readers agree on


class Bounds(msgspec.Struct, frozen=True):
    """How much of a value is shown."""

    text: int = 2000  # characters; the longest no_proxy of a company that was seen had 1500
    items: int = 256  # of a list, or names in an object
    depth: int = 8


BOUNDS: Final = Bounds()

Otherwise = Callable[[object], object]


def undecided(value: object) -> TypeError:
    """The error for a type that nobody decided about."""
    return TypeError(f"{type(value).__name__} is not a fact: say in audit/facts.py how it is shown")


def plain(value: object, otherwise: Otherwise | None = None, bounds: Bounds = BOUNDS) -> Plain:
    """The value as JSON may hold it. `otherwise` makes one that JSON does not know into one that it does."""
    match value:
        case None | bool():
            return value
        case str():
            return escaped(value, bounds.text)
        case int():
            return int(value) if -_LARGEST_INT <= value < _LARGEST_INT else MORE
        case float():
            return float(value) if math.isfinite(value) else str(float(value))
        case Mapping():
            return _object(value, otherwise, bounds)
        case list() | tuple():
            return _list(value, otherwise, bounds)
        case AnySet():
            return _list(sorted((plain(item, otherwise, bounds) for item in value), key=str), otherwise, bounds)
    if otherwise is None:
        raise undecided(value)
    return plain(otherwise(value), otherwise, bounds)


def _object(value: Mapping[Any, object], otherwise: Otherwise | None, bounds: Bounds) -> Plain:
    if value and not bounds.depth:
        return MORE
    inner = msgspec.structs.replace(bounds, depth=bounds.depth - 1)
    kept, left = _kept(len(value), bounds)
    shown = {_name(key, otherwise, bounds): plain(item, otherwise, inner) for key, item in islice(value.items(), kept)}
    return {**shown, MORE: f"and {left} more"} if left else shown


def _list(value: Sequence[object], otherwise: Otherwise | None, bounds: Bounds) -> Plain:
    if value and not bounds.depth:
        return MORE
    inner = msgspec.structs.replace(bounds, depth=bounds.depth - 1)
    kept, left = _kept(len(value), bounds)
    items = [plain(item, otherwise, inner) for item in value[:kept]]
    return [*items, f"{MORE} and {left} more"] if left else items


def _kept(length: int, bounds: Bounds) -> tuple[int, int]:
    """How many are shown, and how many are not: with the word on those there are as many as may be."""
    kept = length if length <= bounds.items else bounds.items - 1
    return kept, length - kept


def _name(key: object, otherwise: Otherwise | None, bounds: Bounds) -> str:
    shown = plain(key, otherwise, bounds)
    if not isinstance(shown, str):
        raise TypeError(f"{type(key).__name__} is not the name of a fact")
    return shown

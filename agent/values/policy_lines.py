"""A policy as lines that can be compared: what a person changed, without comments and layout.

Pure. `upstream.corp.url = "http://proxy.corp.example:3128"`, one line for each value, tables by their path. A user name
may be a token, so it is not shown; that it changed is.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agent.values.secret import HIDDEN

MOST: Final = 60  # lines of a difference


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a valid policy, in its order."""
    return tuple(_lines(tomllib.loads(text), ()))


def difference(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """What stands no more, with `-`, and what is new, with `+`; at most MOST lines."""
    old, new = set(before), set(after)
    found = [*(f"-{line}" for line in before if line not in new), *(f"+{line}" for line in after if line not in old)]
    return (*found[:MOST], f"… and {len(found) - MOST} more") if len(found) > MOST else tuple(found)


def _lines(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _lines(item, (*path, key))
        case [*items] if items and all(isinstance(item, dict) for item in items):
            for number, item in enumerate(items, start=1):
                yield from _lines(item, (*path, str(number)))
        case _:
            shown = HIDDEN if path[-1:] == ("username",) else json.dumps(value, ensure_ascii=False, default=str)
            yield f"{'.'.join(path)} = {shown}"

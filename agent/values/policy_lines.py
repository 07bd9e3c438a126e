"""A policy as lines that can be compared: what a person changed, without comments and layout.

Pure. `upstream.corp.url = "http://proxy.corp.example:3128"`, one line for each value, tables by their path. A user name
may be a token, and what a network is recognised by says where it is: of these only a digest is compared, and a
difference says that they changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, Final

from agent.values.paths import FOLDER
from agent.values.policy_parts import Part, documents
from agent.values.secret import HIDDEN

MOST: Final = 60  # lines of a difference
_MARK: Final = f"{HIDDEN} #"  # before the digest


def lines_of(parts: Sequence[Part], digest: Callable[[str], str]) -> tuple[str, ...]:
    """The lines of a valid policy, in its order. `digest`: a keyed one. Those of a file of config.d begin with it."""
    return tuple(
        f"{_named(file)}{line}" for file, document in documents(parts) for line in _lines(document, (), digest)
    )


def difference(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """What stands no more, with `-`, and what is new, with `+`; at most MOST lines. No digest is in it."""
    old, new = set(before), set(after)
    found = [*(f"-{line}" for line in before if line not in new), *(f"+{line}" for line in after if line not in old)]
    shown = [f"{line.partition(_MARK)[0]}{HIDDEN}" if _MARK in line else line for line in found]
    return (*shown[:MOST], f"… and {len(shown) - MOST} more") if len(shown) > MOST else tuple(shown)


def _named(file: str) -> str:
    """Where one network more in a file of config.d would not make all of the next file's another one."""
    path = PurePath(file)
    return f"{path.parent.name}/{path.name}: " if path.parent.name == FOLDER else ""


def _lines(value: Any, path: tuple[str, ...], digest: Callable[[str], str]) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _lines(item, (*path, key), digest)
        case [*items] if items and all(isinstance(item, dict) for item in items):
            for number, item in enumerate(items, start=1):
                yield from _lines(item, (*path, str(number)), digest)
        case _:
            text = json.dumps(value, ensure_ascii=False, default=str)
            is_hidden = path[-1:] == ("username",) or path[2:3] == ("match",)
            yield f"{'.'.join(path)} = {_MARK + digest(text) if is_hidden else text}"

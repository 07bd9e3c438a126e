"""How much is tried of what tests try many times: all of it, or with SHARE=8 in the environment an eighth.

`make check` tries less than `make test`; every test runs in both.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

SHARE: Final = int(os.environ.get("SHARE", "1"))

One = TypeVar("One")


def share_of(many: Sequence[One]) -> Sequence[One]:
    """One in SHARE of them, and the first in any case."""
    return many[::SHARE]


def fewer(times: int, at_least: int = 10) -> int:
    """A SHARE of so many times; where few are no test, more."""
    return min(times, max(times // SHARE, at_least))

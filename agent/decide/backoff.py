"""When something that has failed is tried again: later each time."""

from __future__ import annotations

from typing import Final

_FIRST_S: Final = 5.0
_AT_MOST_S: Final = 300.0
_DOUBLED_AT_MOST: Final = 6  # times; then it is more than that


def again_s(failures: int) -> float:
    """After so many failures in a row, at least one: 5 s, twice as long each time, 5 min at most."""
    return min(_FIRST_S * (1 << min(failures - 1, _DOUBLED_AT_MOST)), _AT_MOST_S)

"""When to retry something that failed: later each time."""

from __future__ import annotations

from typing import Final

_FIRST_S: Final = 5.0
_AT_MOST_S: Final = 300.0
_DOUBLED_AT_MOST: Final = 6  # times: by then the limit is reached


def again_s(failures: int) -> float:
    """The wait after so many failures in a row (at least 1): 5 s, doubled each time, at most 5 min."""
    return min(_FIRST_S * (1 << min(failures - 1, _DOUBLED_AT_MOST)), _AT_MOST_S)

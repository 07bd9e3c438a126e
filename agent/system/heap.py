"""Memory that the process has freed and still holds, given back to the system.

Imports and the first pass leave holes below what stays, and by itself the allocator gives back only the top of its
heap (FACTS 134). And what refers to itself in a circle, such as an exception and the frame that caught it, is freed
only when Python looks through all its objects. It does that the more seldom the more there are, and meanwhile others
are made beyond (FACTS 245).
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_LIBC: Final = ctypes.CDLL(None)


def is_possible() -> bool:
    """Whether the C library is glibc; another has no way to be asked."""
    return hasattr(_LIBC, "malloc_trim")


def keep() -> None:
    """What is there now, all that was imported, stays: it is not looked through again. Call once."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """In a millisecond, after `keep`."""
    gc.collect()
    if is_possible():
        _LIBC.malloc_trim(ctypes.c_size_t(0))

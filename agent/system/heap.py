"""Memory that the process has freed and still holds, given back to the system.

Imports and the first pass leave holes below what stays, and by itself the allocator gives back only the top of its
heap (FACTS 134).
"""

from __future__ import annotations

import ctypes
from typing import Final

_LIBC: Final = ctypes.CDLL(None)


def is_possible() -> bool:
    """Whether the C library is glibc; another has no way to be asked."""
    return hasattr(_LIBC, "malloc_trim")


def give_back() -> None:
    """In a tenth of a millisecond."""
    if is_possible():
        _LIBC.malloc_trim(ctypes.c_size_t(0))

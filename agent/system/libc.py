"""The C library, for the calls that Python does not have."""

from __future__ import annotations

import ctypes
import os
from typing import Final

LIBC: Final = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """What a call returned. OSError, as errno says, if that is below 0."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

"""The kernel's timers, as descriptors that become readable when they fire.

os.timerfd_create exists since Python 3.13; before, libc is called.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Final

from agent.system.libc import LIBC, checked

_NS: Final = 1_000_000_000
_FLAGS_OF_CREATE: Final = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC are these
_ABSTIME, _CANCEL_ON_SET = 1, 2

if sys.version_info >= (3, 13):

    def _create(clock: int) -> int:
        return os.timerfd_create(clock, flags=_FLAGS_OF_CREATE)

    def _set(descriptor: int, flags: int, at_ns: int) -> None:
        os.timerfd_settime_ns(descriptor, flags=flags, initial=at_ns)

else:

    class _Itimerspec(ctypes.Structure):
        """struct itimerspec: the interval, then the time."""

        _fields_ = (
            ("interval_s", ctypes.c_long),
            ("interval_ns", ctypes.c_long),
            ("s", ctypes.c_long),
            ("ns", ctypes.c_long),
        )

    def _create(clock: int) -> int:
        return checked(LIBC.timerfd_create(clock, _FLAGS_OF_CREATE))

    def _set(descriptor: int, flags: int, at_ns: int) -> None:
        at = _Itimerspec(0, 0, at_ns // _NS, at_ns % _NS)
        checked(LIBC.timerfd_settime(descriptor, flags, ctypes.byref(at), None))


def boottime_timer() -> int:
    """The descriptor of a timer that goes on while the host is suspended, and then fires late."""
    return _create(time.CLOCK_BOOTTIME)


def set_to(descriptor: int, at_s: float | None) -> None:
    """Fire once, at that time of its clock; at once if it has passed; None: never."""
    _set(descriptor, _ABSTIME, 0 if at_s is None else max(1, int(at_s * _NS)))


def jump_timer() -> int:
    """The descriptor of a timer for `set_to_next_jump`."""
    return _create(time.CLOCK_REALTIME)


def set_to_next_jump(descriptor: int) -> None:
    """Reading fails with ECANCELED after the wall clock has jumped: it was set, or the host was suspended."""
    _set(descriptor, _ABSTIME | _CANCEL_ON_SET, (1 << 33) * _NS)  # in 2242: it never fires by itself

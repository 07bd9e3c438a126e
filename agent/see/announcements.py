"""What the kernel announces of changes of its network: only that there was something.

The messages are not read: whoever was told looks for themselves. Not known here: what follows.
"""

from __future__ import annotations

import contextlib
import enum
import socket
from collections.abc import Iterable
from typing import Final

_SOL_NETLINK: Final = 270  # linux/socket.h; the socket module names neither it nor its options
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP = 1, 2
_AT_ONCE: Final = 4096  # messages at most, far more than the buffer holds: the event loop has other work, too


class MulticastGroup(enum.IntEnum):
    """RTNLGRP_* of linux/rtnetlink.h."""

    LINK = 1
    NEIGHBOURS = 3
    IPV4_ADDRESS = 5
    IPV4_ROUTE = 7
    IPV4_RULE = 8
    IPV6_ADDRESS = 9
    IPV6_ROUTE = 11
    IPV6_RULE = 19


class Announcements:
    """A socket that is readable when there was one, of these groups."""

    def __init__(self, groups: Iterable[MulticastGroup]) -> None:
        self._kernel = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._kernel.bind((0, 0))
            for group in groups:
                self.join(group)
        except BaseException:
            self._kernel.close()
            raise

    def fileno(self) -> int:
        """-1: it is closed."""
        return self._kernel.fileno()

    def join(self, group: MulticastGroup) -> None:
        self._kernel.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def leave(self, group: MulticastGroup) -> None:
        self._kernel.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, group)

    def drain(self) -> bool:
        """Read all messages. Whether there were any."""
        anything = False
        with contextlib.suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                try:
                    # One byte of each is enough: the kernel drops the rest of the message.
                    self._kernel.recv(1)
                except BlockingIOError:
                    raise
                except OSError:
                    # ENOBUFS: some did not fit (FACTS 22). For any other error, looking again is right, too.
                    anything = True
                    continue
                anything = True
        return anything

    def close(self) -> None:
        self._kernel.close()

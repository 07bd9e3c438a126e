"""Wakes when the kernel announces a change of its network.

The messages are not read: the next look finds out what changed. Joined are the groups whose messages can mean another
network (FACTS 22); that of neighbours only while a MAC is missing, for its messages never end.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
from typing import Final

from agent.service.watch.wakeups import Wake
from agent.values.reason import Reason

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


class NetworkWatch:
    """Wakes until it is closed, except while it is paused."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._is_paused = False
        self._kernel = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._kernel.bind((0, 0))
            for group in MulticastGroup:
                if group is not MulticastGroup.NEIGHBOURS:
                    self._kernel.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
            self._loop.add_reader(self._kernel, self._wake_if_told)
        except BaseException:
            self._kernel.close()
            raise

    def pause(self) -> None:
        """For the time it settles: messages cost nothing until `resume`, and an overflow counts as a message."""
        if not self._is_paused:
            self._is_paused = True
            self._loop.remove_reader(self._kernel)

    def resume(self) -> None:
        """One wake-up, if there were messages meanwhile."""
        if self._is_paused:
            self._is_paused = False
            self._wake_if_told()
            self._loop.add_reader(self._kernel, self._wake_if_told)

    def follow_neighbours(self) -> None:
        """Also wake for neighbours, until `ignore_neighbours`."""
        self._kernel.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, MulticastGroup.NEIGHBOURS)

    def ignore_neighbours(self) -> None:
        self._kernel.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, MulticastGroup.NEIGHBOURS)

    def close(self) -> None:
        if self._kernel.fileno() >= 0:
            self._loop.remove_reader(self._kernel)
            self._kernel.close()

    def _wake_if_told(self) -> None:
        if self._drain():
            self._wake(Reason.NETWORK)

    def _drain(self) -> bool:
        """Read all messages. Whether there were any."""
        anything = False
        with contextlib.suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                try:
                    # One byte of each is enough: the kernel drops the rest of the message.
                    self._kernel.recv(1)
                except BlockingIOError:
                    raise
                except (
                    OSError
                ):  # ENOBUFS: some did not fit (FACTS 22); for any other error, looking again is right, too
                    anything = True
                    continue
                anything = True
        return anything

"""Whoever sends without end keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import socket

from agent.probe.reading import read


async def test_others_have_a_turn_before_each_read_of_a_socket_that_is_ready() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"abc")
        turns = list[bytes]()
        received = bytearray()

        def take_turn() -> None:
            turns.append(bytes(received))

        for _ in range(3):
            asyncio.get_running_loop().call_soon(take_turn)
            received += await read(ours, 1)

        assert (bytes(received), turns) == (b"abc", [b"", b"a", b"ab"])

"""Read from a socket, after everybody else has had a turn.

To await a socket that is ready is no pause: whoever reads in a loop what a stranger sends without end would keep all
others waiting, and the timer that is to end it as well. So nobody reads in another way.
"""

from __future__ import annotations

import asyncio
import socket


async def read(connected: socket.socket, most: int) -> bytes:
    """At least one byte; b"" at the end. OSError if it broke off."""
    await asyncio.sleep(0)  # before: what has been read would be lost if this were cancelled
    return await asyncio.get_running_loop().sock_recv(connected, most)

"""Whether anything listens at a local address, by a bare connect; and whether a proxy there has a turn for us."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from agent.probe.dial import HERE, dial
from agent.probe.stopwatch import Stopwatch

_ANSWERS_WITHIN_S = 0.5  # on a local address: a listener answers at once or not at all
# What a proxy answers by itself, whatever its own way out is: not the form in which one is asked (RFC 9112, 3.2).
_OF_ITSELF: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def answers(address: str, port: int) -> bool:
    """Whether a local address accepts a bare connect."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            connected = await dial(address, port, HERE, Stopwatch())
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return False
    connected.close()
    return True


async def serves(address: str, port: int, within_s: float) -> bool:
    """Whether a proxy at a local address reads a request and answers it, be it by a refusal."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(sock=await dial(address, port, HERE, Stopwatch()))
            with contextlib.closing(writer):
                writer.write(_OF_ITSELF)
                return await reader.read(1) != b""
    except (OSError, UnicodeError):
        return False

"""Whether anything listens at a local address: a bare connect, nothing is sent."""

from __future__ import annotations

import asyncio
import contextlib

_ANSWERS_WITHIN_S = 0.5  # on a local address: a listener answers at once or not at all


async def answers(address: str, port: int) -> bool:
    """Whether a local address accepts a bare connect."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

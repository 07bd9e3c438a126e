"""Work that is finished although we are told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T], within_s: float | None) -> T:
    """Wait for it even if we are told to stop meanwhile, and only then stop: a ctrl-C must not leave Docker down.

    `within_s`: how long it may still take then; None: as long as it takes.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=within_s)
        task.cancel()
        await asyncio.wait([task])
        raise

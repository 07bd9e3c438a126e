"""Work that is finished even if we are told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T], within_s: float | None) -> T:
    """Finish the work before stopping, if we are told to stop meanwhile: a ctrl-C must not leave Docker down.

    `within_s`: how much longer it may take then; None: as long as it needs.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=within_s)
        task.cancel()
        await asyncio.wait([task])
        raise

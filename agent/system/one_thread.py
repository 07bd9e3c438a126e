"""The one thread for work on texts that are other people's.

Not asyncio's own threads: Docker's half waits for those, and asyncio waits for them at the end. Here no more than one
text is worked on at a time, whoever's it is and however often it is asked for; what is given up before its turn never
begins. Each piece must be bounded by what it is given.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

_THREAD: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="texts")

P = ParamSpec("P")
T = TypeVar("T")


async def in_turn(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What it returns, or raises."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, functools.partial(work, *args, **kwargs))

"""The one thread for work on other users' texts.

Not in asyncio's own threads: Docker's half needs those, and asyncio waits for them at its end. Only one text is worked
on at a time, and work that is cancelled before its turn never begins. The time for each piece must be bounded by its
input.
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
    """The result of the work, or its exception."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, functools.partial(work, *args, **kwargs))

"""A thread for one kind of work: one piece at a time, and what is cancelled before its turn never begins.

Not in asyncio's own threads: Docker's half needs those, and asyncio waits for them at its end.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """It is started with the first piece of work."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def in_turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the work, or its exception."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(work, *args, **kwargs))


# For work on other users' texts, of which each piece takes as long as its input lets it.
in_turn: Final = OneThread("texts").in_turn

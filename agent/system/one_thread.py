"""A thread for one kind of work: one piece at a time, and what is cancelled before its turn never begins.

Not in asyncio's own threads: Docker's half needs those, and asyncio waits for them at its end. Nor in those of
concurrent.futures, for which the process waits at its end, however long the kernel takes.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """It is started with the first piece of work."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._works: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """The result of the work, or its exception, for whoever waits for it, or does not."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        done: Future[T] = Future()
        self._works.put((done, work))
        return done

    async def in_turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the work, or its exception."""
        return await asyncio.wrap_future(self.begin(functools.partial(work, *args, **kwargs)))

    def _work(self) -> None:
        while True:
            _do(*self._works.get())


def _do(done: Future[T], work: Callable[[], T]) -> None:
    """Nothing of it is kept until the next one comes."""
    if not done.set_running_or_notify_cancel():
        return
    try:
        found = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
        done.set_exception(error)
    else:
        done.set_result(found)


# For work on other users' texts, of which each piece takes as long as its input lets it.
in_turn: Final = OneThread("texts").in_turn

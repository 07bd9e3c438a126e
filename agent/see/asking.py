"""How the kernel is asked what it may be long about.

Questions about interfaces wait for its lock on all of them, whatever the socket's timeout is, and an ordinary user can
hold that for a minute (FACTS 255). Who must go on meanwhile has them asked in another thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Asking(Protocol):
    """Has a question asked. NetlinkFailed if there is no answer."""

    async def __call__(self, question: Callable[[], T], /) -> T: ...


async def at_once(question: Callable[[], T], /) -> T:
    """For who has nothing else to do."""
    return question()

"""Waiting is "until": a deadline, and what was last seen."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A yes or no that remembers what was looked at."""

    holds: bool
    what: object

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        return str(self.what)


class NotInTime(AssertionError):
    pass


def until(within: float, look: Callable[[], T], what: str, every: float = 0.05) -> T:
    """The first truthy value that `look` returns; NotInTime says what it returned last."""
    started = time.monotonic()
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() - started > within:
            raise NotInTime(f"{what}: not within {within:g} s; last seen: {value}")
        time.sleep(every)

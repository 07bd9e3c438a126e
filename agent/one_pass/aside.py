"""The kernel is asked aside: however long it takes to answer, the loop goes on, and with it the watchdog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from agent.see.netlink import NetlinkFailed
from agent.system.one_thread import OneThread
from agent.system.running_time import within

_ANSWERS_WITHIN_S: Final = 30.0
_KERNEL: Final = OneThread("kernel")

T = TypeVar("T")


async def aside(question: Callable[[], T], /, within_s: float = _ANSWERS_WITHIN_S) -> T:
    """As `see.asking.Asking`. One question at a time: those that are given up before their turn are never asked."""
    try:
        async with within(within_s):
            return await _KERNEL.in_turn(question)
    except TimeoutError as silence:
        raise NetlinkFailed(f"the kernel did not answer within {within_s:g} s") from silence


async def aside_or(unknown: T, question: Callable[[], T], /, within_s: float = _ANSWERS_WITHIN_S) -> T:
    """The same. `unknown`: what stands for the answer if there is none."""
    try:
        return await aside(question, within_s)
    except NetlinkFailed:
        return unknown

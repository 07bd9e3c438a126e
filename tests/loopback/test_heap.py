"""Memory that was freed goes back to the system."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from agent.system.heap import give_back, is_possible

# What stays lies above what is freed: that the top of the heap is given back anyway shows nothing.
FREES_BELOW_WHAT_STAYS = """
from agent.system.heap import give_back

def anonymous_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

freed = [bytes(4096) for _ in range(8192)]
stays = bytes(4096)
del freed
before = anonymous_kb()
give_back()
print(before - anonymous_kb())
"""


@pytest.mark.skipif(not is_possible(), reason="not glibc")
def test_what_was_freed_below_what_stays_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREES_BELOW_WHAT_STAYS], capture_output=True, text=True, check=True, timeout=60
    )

    assert int(done.stdout) > 16 * 1024, "of 32 MB"


class Circle:
    """It refers to itself."""

    def __init__(self) -> None:
        self.round = self


def test_what_goes_in_a_circle_is_freed() -> None:
    with _no_collector():
        gone = weakref.ref(Circle())
        assert gone() is not None

        give_back()

        assert gone() is None


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

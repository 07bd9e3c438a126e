"""For all tests: how they run side by side, and what is skipped."""

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.share import fewer

# How long an example takes says how busy the machine is; timings belong in `make bench`.
settings.register_profile("ours", deadline=None, max_examples=fewer(100))
settings.load_profile("ours")

# What a command prints into a pipe is folded where this says how wide: pytest-xdist does, of the terminal it has, and
# readline, which tells only the C library.
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")

HERE = Path(__file__)
TURN = HERE.with_name("__init__.py")


@pytest.hookimpl(optionalhook=True)  # of xdist, which a single test does without
def pytest_xdist_auto_num_workers() -> int:
    cores = len(os.sched_getaffinity(0))
    # Laptops mostly wait: for a boot, for a restart, for patience to end.
    return cores * 5 // 2 if os.geteuid() == 0 else cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that nobody is waited for in the end."""

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker("alone"):
            return 3
        if item.get_closest_marker("long"):
            return 0
        return 1 if HERE.with_name("machine") in item.path.parents else 2

    items.sort(key=turn)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # At this one place, so that pytest says it in one line, however many they are.
    if item.get_closest_marker("needs_root") and os.geteuid() != 0 and "CI" not in os.environ:
        pytest.skip("needs root: sudo make test")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pytest's own has the test's name in it: too long for sockets below it, whose paths end at 107 bytes."""
    return tmp_path_factory.mktemp("t")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with _beside_others(fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH):
        return (yield)


@contextlib.contextmanager
def _beside_others(how: int) -> Iterator[None]:
    """While none runs that must be alone; or alone. The locks are on files that are there anyway."""
    with TURN.open() as turn, HERE.open() as ground:
        fcntl.flock(turn, fcntl.LOCK_EX)  # or whoever wants to be alone would be passed by again and again
        fcntl.flock(ground, how)
        fcntl.flock(turn, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(ground, fcntl.LOCK_UN)  # not left to the end of all its descriptors: a test may have forked

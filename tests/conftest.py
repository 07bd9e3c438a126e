"""For all tests: how they run side by side, and what is skipped."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from agent.audit.facts import Plain
from agent.audit.record import Record
from agent.values.asker import Asker
from agent.values.events import Event
from tests.in_memory import in_memory
from tests.records import wrong_in_facts
from tests.share import fewer

# How long an example takes says how busy the machine is; timings belong in `make bench`.
settings.register_profile("ours", deadline=None, max_examples=fewer(100))
settings.load_profile("ours")

# What a command prints into a pipe is folded where this says how wide: pytest-xdist does, of the terminal it has, and
# readline, which tells only the C library.
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")

# Where pytest makes the folders of tests, if nothing else is wished.
if (folder := in_memory()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)

# A script that starts the tests behind itself (`make test &`) has them ignore Ctrl-C, and with them every program that
# they start and tell to end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__)
TURN = HERE.with_name("__init__.py")
CALM = HERE.parent / "loopback/__init__.py"


@pytest.hookimpl(optionalhook=True)  # of xdist, which a single test does without
def pytest_xdist_auto_num_workers() -> int:
    cores = len(os.sched_getaffinity(0))
    # Laptops mostly wait: for a boot, for a restart, for patience to end. The others wait half of their time.
    return cores * 5 // 2 if os.geteuid() == 0 else cores * 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that nobody is waited for in the end."""

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker("alone"):
            return 4
        if item.get_closest_marker("calm"):
            return 3
        if item.get_closest_marker("long"):
            return 0
        return 1 if HERE.with_name("machine") in item.path.parents else 2

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    # It stays to the end: not looked through for garbage again and again, in every worker.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # At this one place, so that pytest says it in one line, however many they are.
    if item.get_closest_marker("needs_root") and os.geteuid() != 0 and "CI" not in os.environ:
        pytest.skip("needs root: sudo make test")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pytest's own has the test's name in it: too long for sockets below it, whose paths end at 107 bytes."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture(autouse=True)
def _records_are_as_documented(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of this process. Those of a laptop are looked at when it goes (machine/lab/laptop.py)."""
    if HERE.with_name("pure") in request.path.parents:
        yield
        return
    wrong: list[str] = []
    append = Record._append

    def look(self: Record, event: Event, facts: dict[str, Plain], by: Asker | None) -> dict[str, Plain]:
        wrong.extend(wrong_in_facts(event.value, facts))
        return append(self, event, facts, by)

    monkeypatch.setattr(Record, "_append", look)
    yield
    assert wrong == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with _beside(Company.of(item)):
        return (yield)


class Company(enum.Enum):
    """What may run while a test does."""

    ANYBODY = enum.auto()
    CALM = enum.auto()
    NOBODY = enum.auto()

    @classmethod
    def of(cls, item: pytest.Item) -> Company:
        if item.get_closest_marker("alone"):
            return cls.NOBODY
        return cls.CALM if item.get_closest_marker("calm") else cls.ANYBODY


@contextlib.contextmanager
def _beside(company: Company) -> Iterator[None]:
    """While only such run. The locks are on files that are there anyway.

    Whoever has company holds a share of the ground, who is calm one of the quiet, and who is alone all of both.
    """
    with TURN.open() as turn, HERE.open() as ground, CALM.open() as quiet:
        fcntl.flock(turn, fcntl.LOCK_EX)  # or whoever wants to be alone would be passed by again and again
        fcntl.flock(ground, fcntl.LOCK_SH if company is Company.ANYBODY else fcntl.LOCK_EX)
        fcntl.flock(quiet, fcntl.LOCK_SH if company is Company.CALM else fcntl.LOCK_EX)
        if company is Company.ANYBODY:
            fcntl.flock(quiet, fcntl.LOCK_UN)
        elif company is Company.CALM:
            fcntl.flock(ground, fcntl.LOCK_UN)  # another calm one may come; anybody else waits for the quiet to end
        fcntl.flock(turn, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Not left to the end of all its descriptors: a test may have forked.
            fcntl.flock(ground, fcntl.LOCK_UN)
            fcntl.flock(quiet, fcntl.LOCK_UN)

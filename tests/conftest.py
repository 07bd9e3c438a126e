"""For all tests: how they run side by side, and what is skipped."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

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
LOOPBACK = "tests/loopback"  # as `make check` has it: without laptops


@pytest.hookimpl(optionalhook=True)  # of xdist, which a single test does without
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    cores = len(os.sched_getaffinity(0))
    # Loopback tests mostly wait, and some for seconds. So do laptops, but each is a whole system.
    return cores * 3 if config.args == [LOOPBACK] or os.geteuid() != 0 else cores * 5 // 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Test by test to whoever is free, but for the files that make something once for all of theirs."""
    if config.args != [LOOPBACK]:
        return None
    whole = {file.name for file in (HERE.parent / "loopback").glob("test_*.py") if 'scope="module"' in file.read_text()}

    def unit(test: str) -> str:
        file = test.partition("::")[0]
        return file if Path(file).name in whole else test

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit
    return scheduler


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that nobody is waited for in the end; what waits, wherever others have work."""

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker("long"):
            return 0
        return 1 if HERE.with_name("machine") in item.path.parents else 2

    waiting = [item for item in items if item.get_closest_marker("waits")]
    at_work = [item for item in items if not item.get_closest_marker("waits")]
    at_work.sort(key=turn)
    # Not in the end: there the last of them would be waited for.
    apart = len(at_work) * 0.85 / (len(waiting) + 1)
    places = [
        *((float(place), item) for place, item in enumerate(at_work)),
        *((apart * place, item) for place, item in enumerate(waiting, 1)),
    ]
    items[:] = [item for _, item in sorted(places, key=lambda placed: placed[0])]


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


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """A test may configure it in any way."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    """Sets the time zone of this process; UTC hides what is forgotten."""
    before = os.environ.get("TZ")

    def become(name: str | None) -> None:
        if name is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = name
        time.tzset()

    yield become
    become(before)


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

"""Machine tests: a laptop that boots for each test, on each suite, and is gone after it.

On sid, the systemd and Docker to come, only the tests that are marked so: CI has to end, too.

For the same reason some run on trixie alone, by their mark. Which, is decided test by test, and both must hold:

- Its subject is the agent's own logic, files or words, or the lab's places, which have no suite. Whatever the version
  of Docker, systemd, journald or the `docker` command can change stays on both: how Docker is started, restarted,
  reloaded and rolled back, drop-ins, daemon.json, live-restore, /info, the sandbox of a unit, boots, sockets, the
  journal, what `docker` makes of config.json, rootless, uninstall.
- What it needs of Docker and systemd on its way is asserted on bookworm by another test, which stays on both.

In doubt on both. Who changes how the agent asks Docker or systemd looks whether a test with the mark still may have it.
"""

import functools
import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from .lab.box import CommandFailed
from .lab.laptop import Laptop
from .lab.places import World
from .lab.rootfs import BOOKWORM, SID, SUITES, TRIXIE, all_made, rootfs

HERE = Path(__file__).parent
HOW = "machine tests need Debian packages and systemd-nspawn. Run: sudo make test-machine"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.machine)
        item.add_marker(pytest.mark.needs_root)
        item.add_marker(pytest.mark.timeout(1800))  # the first of a day makes the laptops' disks
    if ours and os.environ.get("CI") and not _can_run():
        raise pytest.UsageError(HOW)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    if os.geteuid() == 0 and not _can_run():
        pytest.skip(HOW)


@functools.cache
def _can_run() -> bool:
    return subprocess.run([HERE / "prepare", "--check"], check=False, timeout=600).returncode == 0


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    all_made()
    with World.made(rootfs(TRIXIE) / "bin/busybox") as world:
        yield world


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    by_itself = any("laptop" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "laptop" in metafunc.fixturenames and not by_itself:  # some say which suites
        marked = metafunc.definition.get_closest_marker
        suites = [TRIXIE, *([] if marked("trixie") else [BOOKWORM]), *([SID] if marked("sid") else [])]
        metafunc.parametrize("laptop", [suite.name for suite in suites], indirect=True)


@pytest.fixture
def laptop(request: pytest.FixtureRequest, world: World) -> Iterator[Laptop]:
    """Booted with Docker up, and plugged in nowhere."""
    with Laptop(SUITES[request.param], world) as laptop:
        yield laptop
        assert laptop.audit.wrong() == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the laptop's journal says of a test that failed."""
    report = yield
    laptop = item.funcargs.get("laptop") if isinstance(item, pytest.Function) else None
    if report.when == "call" and report.failed and isinstance(laptop, Laptop):
        report.sections.append(("journal of the laptop", _journal(laptop)))
    return report


def _journal(laptop: Laptop) -> str:
    try:
        return laptop.journal("docker-proxy-agent", "docker")
    except CommandFailed as error:  # the laptop is down, which may be why the test failed
        return str(error)

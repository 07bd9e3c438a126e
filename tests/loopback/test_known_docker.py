"""What a look has found counts until something changes, also if that was in the middle of the look."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .test_containers import Engine, laptop

LISTENS = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("listens", flush=True)
time.sleep(60)
"""


class Moving(Engine):
    """A dockerd that something happens to while it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.while_asked: Callable[[], object] | None = None

    def _document(self, path: str) -> object:
        found = super()._document(path)
        if "info" in path and self.while_asked is not None:  # the last that a look asks
            happens, self.while_asked = self.while_asked, None
            happens()
        return found


@pytest.fixture
def another_dockerd(tmp_path: Path) -> Iterator[Callable[[], object]]:
    """Takes the place of the one that listens."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        socket = tmp_path / "run/docker.sock"
        socket.unlink()
        begun.append(subprocess.Popen([sys.executable, "-c", LISTENS, str(socket)], stdout=subprocess.PIPE))
        assert begun[0].stdout is not None
        begun[0].stdout.readline()

    yield begin
    for process in begun:
        process.kill()
        process.communicate(timeout=10)


async def test_what_is_seen_while_a_file_is_written_is_looked_at_again(tmp_path: Path) -> None:
    engine, file = Moving(), tmp_path / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    async with laptop(tmp_path, engine) as daemon:
        for _ in range(2):
            await daemon.reality()
        assert daemon.known() is not None

        engine.while_asked = lambda: file.write_text("{}")
        await daemon.reality()

        assert daemon.known() is None
        await daemon.reality()
        assert daemon.known() is not None


async def test_a_docker_that_is_started_in_the_middle_of_a_look_is_looked_at_again(
    tmp_path: Path, another_dockerd: Callable[[], object]
) -> None:
    engine = Moving()
    async with laptop(tmp_path, engine) as daemon:
        for _ in range(2):
            await daemon.reality()
        assert daemon.known() is not None

        engine.while_asked = another_dockerd
        found = await daemon.reality()

        assert found.engine is not None, "it was the first one that was asked"
        assert daemon.known() is None


async def test_a_docker_that_is_down_is_known_until_it_is_started(
    tmp_path: Path, another_dockerd: Callable[[], object]
) -> None:
    async with laptop(tmp_path, Moving()) as daemon:
        pass  # it is gone, and its socket is left
    for _ in range(2):
        await daemon.reality()
    assert daemon.known() is not None

    another_dockerd()

    assert daemon.known() is None


async def test_a_docker_that_is_down_is_looked_at_again_after_a_start_that_failed_at_once(tmp_path: Path) -> None:
    """systemd has named that start and forgotten it before anybody looked."""
    starts = tmp_path / "run/systemd/units"
    starts.mkdir(parents=True)
    async with laptop(tmp_path, Moving()) as daemon:
        pass  # it is gone
    for _ in range(2):
        await daemon.reality()
    assert daemon.known() is not None

    link = starts / "invocation:docker.service"
    link.symlink_to("4be1")
    link.unlink()

    assert daemon.known() is None

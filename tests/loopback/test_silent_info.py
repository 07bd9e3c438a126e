"""A dockerd that answers all but /info, as 20.10 does while a pull waits for a DNS that is silent (FACTS 61)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from agent.decide.effective import effective
from agent.docker.engine import EngineSocket
from agent.docker.look import Looking
from agent.docker.process import command_line
from agent.values.dockerd import Phase, Start, UnitState
from agent.values.paths import Paths
from agent.values.settings import settings
from tests.waiting import until

from .dockerd import Dockerd
from .servers import path_asked

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
IN_ITS_ENVIRONMENT = {"HTTP_PROXY": "http://office:3128", "HTTPS_PROXY": "http://office:3128", "NO_PROXY": "localhost"}


@contextmanager
def process() -> Iterator[int]:
    """One that looks like a dockerd, with the office's proxies in its environment."""
    with subprocess.Popen(["dockerd", "1000"], executable="/bin/sleep", env=IN_ITS_ENVIRONMENT) as started:
        try:
            # Popen returns while execve is still at work.
            until(10, lambda: command_line(started.pid) is not None, "execve", every=0.001)
            yield started.pid
        finally:
            started.kill()


@asynccontextmanager
async def engine(socket: Path, version: str, api: str) -> AsyncIterator[EngineSocket]:
    """It answers /info never, and all else at once."""
    documents = {
        "/version": {"Version": version, "ApiVersion": api},
        "/containers/json": [{"Id": "web"}, {"Id": "db"}],
    }
    ends = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if (path := await path_asked(reader)) is None:
                return
            if path == "/info":
                await asyncio.wait_for(ends.wait(), 60)
            body = json.dumps(documents.get(path)).encode()
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    async with await asyncio.start_unix_server(answer, socket):
        yield EngineSocket(socket, timeout_s=30, confirms_s=0.05)  # who waits all that time learns nothing
        ends.set()


class Unit:
    """A unit that runs this process."""

    def __init__(self, pid: int) -> None:
        self._state = UnitState(Phase.RUNNING, pid, "a")

    async def state(self) -> UnitState:
        return self._state

    async def hanging(self, state: UnitState) -> tuple[str, ...]:
        return ()

    async def start_values(self, ours: Path) -> Start:
        return Start(("/usr/sbin/dockerd",), {}, {})

    def started(self) -> str:
        return "a"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "etc/docker").mkdir(parents=True)
    return Paths(tmp_path)


async def test_one_of_20_10_is_known_by_its_process_and_not_waited_for(paths: Paths, tmp_path: Path) -> None:
    with process() as pid:
        async with engine(tmp_path / "docker.sock", "20.10.24", "1.41") as socket:
            looking = Looking(paths, "docker.service", Unit(pid), socket, can_restart=True)

            found = await looking.reality()
            again = await looking.busy_now(found)

    assert effective(found) == OFFICE
    assert found.is_silent
    assert again.engine is not None
    assert again.engine.containers_running == 2
    assert effective(again) == OFFICE


async def test_where_the_process_does_not_tell_all_it_is_waited_for(paths: Paths, tmp_path: Path) -> None:
    with process() as pid:
        paths.daemon_json.write_text('{"proxies": {"http-proxy": "http://newer:1"}}')  # than that process
        async with engine(tmp_path / "docker.sock", "26.1.5", "1.45") as waits_for_ever:
            waits = EngineSocket(waits_for_ever.path, timeout_s=0.2, confirms_s=30)
            looking = Looking(paths, "docker.service", Unit(pid), waits, can_restart=True)

            found = await looking.reality()

    assert found.engine is None
    assert effective(found) is None
    assert "no answer within" in found.silence


async def test_what_a_transaction_wrote_is_in_force_when_the_process_says_so(tmp_path: Path) -> None:
    dockerd = Dockerd(tmp_path)
    dockerd.is_info_silent = True

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.restarted_s is not None
    assert not outcome.is_failed
    assert dockerd.runs_with == OFFICE
    assert dockerd.starts == 2


async def test_containers_wait_for_its_answer(tmp_path: Path) -> None:
    """Whether they would survive is not known."""
    dockerd = Dockerd(tmp_path)
    dockerd.is_info_silent, dockerd.containers = True, 1

    made, _ = await dockerd.plan(OFFICE)

    assert made.restart is not None
    assert not made.restarts
    assert made.condition is None

"""Programs that are run: none outlives whoever waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from agent.system.programs import run
from tests.waiting import until_awaited


async def test_how_a_program_ended_and_what_it_printed() -> None:
    done = await run(["sh", "-c", "echo out; echo one >&2; echo two >&2; exit 3"], 10)

    assert (done.status, done.out, done.complaint) == (3, b"out\n", "two")


async def test_a_program_that_becomes_anothers_gets_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://root:open-sesame@proxy.test:1")

    done = await run(["/bin/sh", "-c", "pwd; cat /proc/self/environ"], 10, {"LANG": "C"}, is_anothers=True)

    where, _, environment = done.out.partition(b"\n")
    names = {one.partition(b"=")[0] for one in environment.strip(b"\0").split(b"\0")}
    assert (where, names - {b"PWD"}) == (b"/", {b"LANG", b"PATH"})


@pytest.mark.parametrize("where", ["1", "2"])
async def test_a_program_that_prints_without_end_is_ended(where: str) -> None:
    with pytest.raises(OSError, match="does not end"):
        await run(["sh", "-c", f"exec cat /dev/zero >&{where}"], 60)


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await run(["/nonexistent/program"], 10)


async def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(TimeoutError):
        await run(["sleep", "1000"], 0.05)


@pytest.mark.parametrize("end", ["wait", "exit"])
async def test_what_a_program_leaves_behind_with_its_pipes_is_not_waited_for(tmp_path: Path, end: str) -> None:
    pid_file = tmp_path / "pid"
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        with pytest.raises(TimeoutError):
            await run(["sh", "-c", f"sleep 1000 & echo $! >{pid_file}; {end}"], 1)

        assert loop.time() - began < 60
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


async def test_a_program_ends_with_whoever_waits_for_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    waiting = asyncio.create_task(
        run(["sh", "-c", f"echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000"], 60)
    )
    await until_awaited(10, pid_file.exists, "the program")

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)

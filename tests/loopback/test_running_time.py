"""Deadlines of a process that is stopped in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.docker.away import Away
from agent.system.programs import run
from agent.system.running_time import Left, within
from agent.values.dockerd import Phase, UnitState

TEN_MINUTES = 600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_ten_minutes_in_which_nobody_could_run_are_no_deadline() -> None:
    clock = Clock()
    left = Left(60, clock)

    clock.now += 1
    assert not left.is_over()
    clock.now += TEN_MINUTES
    assert not left.is_over()
    assert left.seconds == 60 - 1 - 15


def test_time_that_is_looked_at_passes_as_it_does() -> None:
    clock = Clock()
    left = Left(60, clock)
    looks = 0

    while not left.is_over():
        clock.now += 10  # as long as a silent dockerd is waited for
        looks += 1

    assert looks == 6


async def test_it_ends_as_asyncios_own_timeout() -> None:
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        async with within(0.2):
            await asyncio.sleep(600)

    assert 0.2 <= time.monotonic() - began < 60, "a busy machine may be away for seconds"
    async with within(0.2):
        pass
    await asyncio.sleep(0.3)  # nothing is left that would end us now


STOPPED = """
import asyncio, time
from agent.system.programs import run

async def main():
    print("begins", flush=True)
    began = time.monotonic()
    done = await run(("sh", "-c", "sleep 0.3; echo in time; kill -STOP $PPID; sleep 0.2"), 1.0)
    print(done.out.decode().strip(), time.monotonic() - began > 2.0)

asyncio.run(main())
"""


@pytest.mark.waits
def test_a_program_that_answered_while_we_were_stopped_has_answered() -> None:
    """Its time is over by the clock; it was us who did not look."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as agent:
        assert agent.stdout is not None
        try:
            assert agent.stdout.readline() == "begins\n"
            _, status = os.waitpid(agent.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            time.sleep(2.5)  # the very thing that is tested
            os.kill(agent.pid, signal.SIGCONT)

            assert agent.stdout.read() == "in time True\n"
        finally:
            agent.kill()  # one that is stopped is waited for in vain


async def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(TimeoutError):
        await run(("sleep", "60"), 0.2)


def test_a_docker_that_was_looked_at_before_and_after_was_not_away_in_between() -> None:
    """Between the two halves of somebody's `stop; start`, say."""
    clock = Clock()
    away = Away(2.0, clock)
    stopped = UnitState(Phase.STOPPED)

    assert not away.lasts(stopped)
    clock.now += TEN_MINUTES
    assert not away.lasts(stopped)
    assert not away.lasts(UnitState(Phase.STARTING))
    looks = 0
    while not away.lasts(stopped):
        clock.now += 0.1
        looks += 1
    assert looks >= 20

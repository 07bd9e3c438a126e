"""The thread for other people's texts: one piece at a time, and nobody waits for what was given up."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading

from agent.system.one_thread import in_turn
from tests.sources import ROOT


async def test_one_piece_at_a_time_and_what_is_given_up_before_its_turn_never_begins() -> None:
    goes_on, has_begun, began = threading.Event(), threading.Event(), list[str]()

    def first() -> str:
        began.append("first")
        has_begun.set()
        goes_on.wait(10)
        return "done"

    def next_one(name: str) -> str:
        began.append(name)
        return name

    works = [asyncio.create_task(in_turn(first))]
    works += [asyncio.create_task(in_turn(next_one, name)) for name in ("b", "c")]
    await asyncio.to_thread(has_begun.wait, 10)
    works[1].cancel()
    await asyncio.wait(works[1:2])
    assert began == ["first"]

    goes_on.set()

    assert await works[0] == "done"
    assert await works[2] == "c"
    assert began == ["first", "c"]


def test_a_loop_that_ends_does_not_wait_for_it() -> None:
    goes_on, has_begun = threading.Event(), threading.Event()

    def work() -> bool:
        has_begun.set()
        return goes_on.wait(30)

    async def gives_up() -> None:
        task = asyncio.create_task(in_turn(work))
        await asyncio.to_thread(has_begun.wait, 10)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    ended = threading.Thread(target=lambda: asyncio.run(gives_up()))
    ended.start()
    ended.join(10)
    assert not ended.is_alive()
    goes_on.set()


ENDS = """
import asyncio, os
from agent.one_pass.aside import aside_or

async def stops():
    print(await aside_or("no answer", lambda: os.read(0, 1), within_s=0.05), flush=True)

asyncio.run(stops())
"""


def test_nor_does_the_process_however_long_the_kernel_takes() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as agent:
        try:
            assert agent.wait(20) == 0
            assert agent.stdout is not None
            assert agent.stdout.read() == "no answer\n"
        finally:
            agent.kill()

"""Runs another program: the one way in which this is done as ourselves.

A program gets no input, has a time limit and does not outlive whoever waits for it, however that ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import msgspec

from agent.machine_text import lines
from agent.running_time import within


class Finished(msgspec.Struct, frozen=True):
    """How a program ended, and what it printed."""

    status: int
    out: bytes
    err: bytes

    @property
    def complaint(self) -> str:
        """The last line that it said about what went wrong."""
        said = lines(self.err.decode(errors="replace").strip())
        return said[-1] if said else "it gives no reason"


async def run(
    argv: Sequence[str],
    within_s: float,
    environment: Mapping[str, str] | None = None,
    *,
    descriptors: Sequence[int] = (),
) -> Finished:
    """Run it to its end; it has the `descriptors`, by their numbers.

    OSError if it cannot be started, TimeoutError if it was still running after `within_s`.
    """
    running = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        pass_fds=descriptors,
        start_new_session=True,  # a ctrl-C at the terminal is for whoever waits, who ends it in good order
    )
    try:
        async with within(within_s):
            out, err = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.communicate()
    return Finished(running.returncode or 0, out, err)

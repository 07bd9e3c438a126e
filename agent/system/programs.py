"""Runs another program: the only way in which the agent runs one as its own user.

A program gets no input, has a time limit, and does not outlive its caller, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from agent.system.running_time import within
from agent.values.machine_text import lines

_LAST_WORDS_S: Final = 1.0  # for a program that was killed; it ends at once


class Finished(msgspec.Struct, frozen=True):
    """How a program ended, and what it printed."""

    status: int
    out: bytes
    err: bytes

    @property
    def complaint(self) -> str:
        """The last line of its error output."""
        said = lines(self.err.decode(errors="replace").strip())
        return said[-1] if said else "it gives no reason"


async def run(
    argv: Sequence[str],
    within_s: float,
    environment: Mapping[str, str] | None = None,
    *,
    descriptors: Sequence[int] = (),
) -> Finished:
    """Run it to its end; it inherits the `descriptors`, under their numbers.

    OSError if it cannot be started, TimeoutError if it was still running after `within_s`.
    """
    running = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        pass_fds=descriptors,
        start_new_session=True,  # a ctrl-C at the terminal is for the caller, which ends the program in order
    )
    try:
        async with within(within_s):
            out, err = await running.communicate()
    finally:
        await _end(running)
    return Finished(running.returncode or 0, out, err)


async def _end(running: asyncio.subprocess.Process) -> None:
    """Programs that it started may go on, and hold its pipes open: that is not waited for."""
    try:
        if running.returncode is None:
            running.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await running.communicate()
    finally:
        running._transport.close()  # type: ignore[attr-defined]  # nothing else closes our ends

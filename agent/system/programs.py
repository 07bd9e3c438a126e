"""Runs another program: the only way in which the agent runs one as its own user.

A program gets no input, has a time limit, and does not outlive its caller, however that ends. One that runs as somebody
else is theirs: they may read its environment, stop it, and let it print whatever they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from agent.system.running_time import within
from agent.values.machine_text import lines

PATH_FOR_OTHERS: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_WORDS_S: Final = 1.0  # for a program that was killed; it ends at once
_MOST: Final = 16 * 1024 * 1024  # bytes, that a program may print; a journal's last lines have some KB


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
    is_anothers: bool = False,
) -> Finished:
    """Run it to its end; it inherits the `descriptors`, under their numbers.

    `is_anothers`: it becomes another user's, so it gets nothing of ours, neither environment nor working directory.
    OSError if it cannot be started, or prints without end; TimeoutError if it was still running after `within_s`.
    """
    ours = {"PATH": PATH_FOR_OTHERS} if is_anothers else os.environ
    running = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**ours, **(environment or {})},
        cwd="/" if is_anothers else None,
        pass_fds=descriptors,
        start_new_session=True,  # a ctrl-C at the terminal is for the caller, which ends the program in order
    )
    try:
        async with within(within_s):
            out, err = await asyncio.gather(_all_of(running.stdout), _all_of(running.stderr))
            await running.wait()
    finally:
        await _end(running)
    return Finished(running.returncode or 0, out, err)


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None  # noqa: S101 - both are pipes
    found = bytearray()
    while read := await stream.read(_MOST):
        found += read
        if len(found) > _MOST:
            raise OSError(errno.EMSGSIZE, "its output does not end")
    return bytes(found)


async def _end(running: asyncio.subprocess.Process) -> None:
    """Programs that it started may go on, and hold its pipes open: that is not waited for."""
    try:
        if running.returncode is None:
            running.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await running.wait()
    finally:
        running._transport.close()  # type: ignore[attr-defined]  # nothing else closes our ends

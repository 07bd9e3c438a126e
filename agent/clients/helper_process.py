"""One helper process (`home_helper.py`): how it is started, asked and ended.

It is asked one thing after another and keeps nothing from one to the next. What it says is not trusted: it counts only
if it has the form of an answer, and a helper that said anything else, or nothing yet, is not to be asked again.

Not known here: what is asked for, and how long an answer may take.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.clients.home_helper import MOST_FOLDERS, HelperAnswer, HelperRequest, Introduction
from agent.system.files import LARGEST

_KILLED_WITHIN_S: Final = 0.5  # a process that can be killed is gone in 10 ms
_LONGEST_ANSWER: Final = LARGEST * 4 // 3 + 16 * 1024  # bytes: the file in base64, and its attributes

# The folders of `agent` and msgspec, and nothing else that site would add: as root, the helper runs no .pth file and no
# sitecustomize, and starts faster. msgspec imports typing_extensions if it is installed, and does not need it: 20 ms.
_CODE: Final = """\
import sys
sys.path += sys.argv[1:]
sys.modules["typing_extensions"] = None
from agent.clients.home_helper import main
main()
"""


def helper_argv() -> tuple[str, ...]:
    """The command of a helper that runs the same code as this process, wherever that is installed."""
    ours, msgspecs = Path(__file__).absolute().parents[2], Path(str(msgspec.__file__)).absolute().parents[1]
    return (sys.executable, "-I", "-S", "-X", "utf8", "-c", _CODE, str(ours), str(msgspecs))


class HelperFailed(Exception):
    """There is no answer, and there will be none from this helper."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def gave_nonsense() -> HelperFailed:
    """It answered what is no answer to the question."""
    return HelperFailed("its helper process gave an invalid answer")


_ANSWERS: Final = msgspec.json.Decoder(HelperAnswer)


class HelperProcess(asyncio.SubprocessProtocol):
    """Who starts one ends it."""

    def __init__(self, introduction: Introduction, ours: socket.socket) -> None:
        self.introduction = introduction
        self._first = msgspec.json.encode(introduction) + b"\n"  # goes before the first request
        self._socket = ours
        self._transport: asyncio.SubprocessTransport | None = None
        self._received = bytearray()
        self._heard = asyncio.Event()
        self._is_silent = False
        self._owes_an_answer = False
        self._gone = asyncio.Event()

    @classmethod
    async def start(cls, argv: Sequence[str], introduction: Introduction) -> HelperProcess:
        """Start a helper that becomes the user it is told of. OSError if there can be none."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - it takes no keyword; SOCK_NONBLOCK would be for both ends
        try:
            _, helper = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(introduction, ours),
                *argv,
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # never below a home
                env={},
                umask=0o077,
                start_new_session=True,
            )
        except (OSError, asyncio.CancelledError):
            ours.close()
            raise
        finally:
            theirs.close()
        return helper

    @property
    def is_running(self) -> bool:
        return not self._gone.is_set()

    @property
    def is_ready(self) -> bool:
        """Whether it may be asked: it runs, and all that it has said was the answer to what it was asked."""
        return self.is_running and not (self._is_silent or self._owes_an_answer or self._received)

    async def ask(self, request: HelperRequest) -> HelperAnswer:
        """The answer. HelperFailed if there is none."""
        self._owes_an_answer = True
        await self._say(msgspec.json.encode(request) + b"\n")
        line = await self._line()
        try:
            answer: HelperAnswer = _ANSWERS.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise gave_nonsense() from error
        self._owes_an_answer = False
        return answer

    def distrust(self) -> None:
        """It is not asked again: what it said was no answer to the question."""
        self._owes_an_answer = True

    def receive(self) -> list[int]:
        """The descriptors that it sent before its last answer. Any others are closed with the socket."""
        found = array.array("i")
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            _, rights, _, _ = self._socket.recvmsg(1, socket.CMSG_SPACE(MOST_FOLDERS * found.itemsize), flags)
        except OSError:  # nothing was sent
            return []
        for level, kind, data in rights:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
        return found.tolist()

    async def _say(self, line: bytes) -> None:
        first, self._first = self._first, b""
        # If the helper is gone, the answer says how it ended.
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._socket, first + line)

    async def _line(self) -> bytes:
        while b"\n" not in self._received:
            if len(self._received) > _LONGEST_ANSWER:
                raise gave_nonsense()
            if self._is_silent:
                raise HelperFailed(f"its helper process {await self._fate()} without an answer")
            self._heard.clear()
            await self._heard.wait()
        line, _, rest = bytes(self._received).partition(b"\n")
        if rest or len(line) > _LONGEST_ANSWER:
            raise gave_nonsense()
        self._received.clear()
        return line

    async def _fate(self) -> str:
        await self._gone.wait()
        status = self._transport.get_returncode() if self._transport is not None else None
        return f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 - asyncio's promise
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - only stdout is a pipe
        if len(self._received) <= _LONGEST_ANSWER:  # more is not kept: it is an error anyway
            self._received += data
        self._heard.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - why is `_fate`
        if fd == 1:
            self._is_silent = True
            self._heard.set()

    def process_exited(self) -> None:
        self._gone.set()

    def kill(self) -> None:
        """With all that it started. What it has answered is done and on the disk, so that loses nothing."""
        self._socket.close()
        if self._transport is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._transport.get_pid(), signal.SIGKILL)

    async def gone(self) -> None:
        """Returns when it has ended."""
        if self._transport is not None:
            await self._gone.wait()

    def let_go(self) -> None:
        """If the kernel does not let it end, asyncio goes on waiting and reaps it later: no zombie stays."""
        if self._transport is not None:
            self._transport.close()


async def end(helpers: Collection[HelperProcess]) -> None:
    """Kill them, wait a moment for their end, and let go of them in any case: nothing waits for one that hangs."""
    for helper in helpers:
        helper.kill()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILLED_WITHIN_S):
                for helper in helpers:
                    await helper.gone()
    finally:
        for helper in helpers:
            helper.let_go()

"""The network that a dockerd is in, where that is not ours: names as it looks them up, and connections from there.

A helper process (`inside_helper.py`) enters its namespaces; it starts with the first question, and is ended once it has
been idle for a while. What it hands back are sockets that stay in that network, and are connected from here.
Not known here: when that is needed (`vantage.py`), and what is said on a connection.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from agent.docker.inside_helper import LONGEST, READY

_STARTS_WITHIN_S: Final = 5.0  # it takes a tenth of a second
_ENDS_WITHIN_S: Final = 0.5
_IDLE_S: Final = 60.0  # it has 7 MB; a start costs a tenth of a second
_HELPER: Final = Path(__file__).with_name("inside_helper.py")

Address = tuple[int, tuple[Any, ...]]


class Inside:
    """The network of one dockerd. OSError where the helper cannot enter it, or has ended."""

    def __init__(self, pid: int, *, idle_s: float = _IDLE_S) -> None:
        self._pid = pid
        self._network = Path(f"/proc/{pid}/ns/net").stat().st_ino
        self._idle_s = idle_s
        self._helper: _Helper | None = None
        self._starting = asyncio.Lock()
        self._to_end: asyncio.TimerHandle | None = None

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """As dockerd does, whose name servers may be others than this host's."""
        name = host.encode("ascii" if host.isascii() else "idna")
        answer, _ = await self._ask(host=name.decode("ascii"), port=port)
        return [(family, tuple(address)) for family, address in answer["addresses"]]

    async def connect(self, family: int, address: tuple[Any, ...]) -> socket.socket:
        """A connection from there."""
        _, opened = await self._ask(family=family)
        if opened is None:
            raise OSError(0, "no socket came from Docker's network")
        try:
            opened.setblocking(False)  # noqa: FBT003 - it takes no keyword
            await asyncio.get_running_loop().sock_connect(opened, address)
        except BaseException:  # also when cancelled
            opened.close()
            raise
        return opened

    async def _ask(self, **request: object) -> tuple[dict[str, Any], socket.socket | None]:
        try:
            try:
                return await (await self._running()).ask(request)
            except _Ended:  # somebody killed it, or it was ended just now
                return await (await self._running()).ask(request)
        finally:
            self._end_once_idle()

    async def _running(self) -> _Helper:
        async with self._starting:
            if self._helper is None or self._helper.is_gone:
                self.end()
                self._helper = await _Helper.start(self._pid, self._network)
            return self._helper

    def _end_once_idle(self) -> None:
        if self._to_end is not None:
            self._to_end.cancel()
        self._to_end = asyncio.get_running_loop().call_later(self._idle_s, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._helper is not None and self._helper.is_busy:
            self._end_once_idle()
        else:
            self.end()

    def end(self) -> None:
        """What was connected stays so. The next question starts another helper."""
        if self._to_end is not None:
            self._to_end.cancel()
            self._to_end = None
        if self._helper is not None:
            self._helper.end()
            self._helper = None


class _Ended(OSError):
    """The helper has."""


_Answer = tuple[dict[str, Any], socket.socket | None]


class _Helper:
    """One helper process, and the talk with it."""

    def __init__(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        self._process = process
        self._socket = ours
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[_Answer]] = {}
        self._sending = asyncio.Lock()  # the loop tells one writer alone when there is room again (FACTS 181)
        self._loop = asyncio.get_running_loop()
        self.is_gone = False

    @classmethod
    async def start(cls, pid: int, network: int) -> _Helper:
        helper = cls(*_launched(pid, network))
        try:
            await helper._be_ready()
        except BaseException:  # also when cancelled
            helper.end()
            raise
        return helper

    async def _be_ready(self) -> None:
        async with asyncio.timeout(_STARTS_WITHIN_S):
            said = await self._loop.sock_recv(self._socket, LONGEST)
        if said != READY:
            raise _cannot_enter(said)
        self._loop.add_reader(self._socket.fileno(), self._hear)

    @property
    def is_busy(self) -> bool:
        return bool(self._asked)

    async def ask(self, request: dict[str, object]) -> _Answer:
        number = next(self._numbers)
        answer: asyncio.Future[_Answer] = self._loop.create_future()
        self._asked[number] = answer
        try:
            await self._send(json.dumps({"id": number, **request}).encode())
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if answer.done() and answer.exception() is None and (opened := answer.result()[1]) is not None:
                opened.close()
            raise
        finally:
            self._asked.pop(number, None)

    async def _send(self, packet: bytes) -> None:
        try:
            async with self._sending:
                await self._loop.sock_sendall(self._socket, packet)
        except OSError as error:
            self.is_gone = True
            raise _Ended(*error.args) from error

    def _hear(self) -> None:
        try:
            packet, opened = _received(self._socket)
        except BlockingIOError:
            return
        except OSError:
            packet, opened = b"", None
        if not packet:
            self._lose()
            return
        said = json.loads(packet)
        waiting = self._asked.get(said["id"])
        if waiting is None or waiting.done():  # who asked was cancelled
            if opened is not None:
                opened.close()
        elif error := said.get("error"):
            waiting.set_exception((socket.gaierror if said.get("is_name") else OSError)(*error))
        else:
            waiting.set_result((said, opened))

    def _lose(self) -> None:
        self.is_gone = True
        self._loop.remove_reader(self._socket.fileno())
        self._fail_all()

    def _fail_all(self) -> None:
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(_Ended(0, "the process in Docker's network has ended"))

    def end(self) -> None:
        if self._socket.fileno() >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self._fail_all()
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_WITHIN_S)


def _launched(pid: int, network: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process, and our end of the socket to it; a millisecond."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.setblocking(False)  # noqa: FBT003 - it takes no keyword; SOCK_NONBLOCK would be for both ends
        try:
            process = subprocess.Popen(
                (sys.executable, "-I", "-S", "-X", "utf8", str(_HELPER), str(pid), str(network)),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                umask=0o077,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
    return process, ours


def _cannot_enter(said: bytes) -> OSError:
    try:
        why = str(json.loads(said)["failed"])
    except (ValueError, KeyError, TypeError):
        why = "its process ended"
    return OSError(0, f"Docker's network cannot be entered: {why}")


def _received(agent: socket.socket) -> tuple[bytes, socket.socket | None]:
    """A packet, and the socket that came with it."""
    found = array.array("i")
    packet, rights, _, _ = agent.recvmsg(LONGEST, socket.CMSG_SPACE(found.itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    for spare in found[1:]:
        os.close(spare)
    return packet, socket.socket(fileno=found[0]) if found else None

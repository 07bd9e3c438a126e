"""Asks a PAC script which ways lead to a host. It is evaluated by another process (`agent/pac/`), never by this one.

That process is systemd's, behind a socket (`ByUnit`), or a child with the same limits where there is no such unit. Its
answers are a stranger's text: bounded here, and escaped. Not known here: how a script is had, and what a way is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from agent.probe import pac_program
from agent.values.pac import PacAnswer, PacFault, PacOrder, PacQuestion, PacReply, PacScript, read_answer
from agent.values.secret import escaped
from agent.values.verdict import Outcome

_LONGEST_REPLY: Final = 256 * 1024  # bytes of a line: 8193 characters, each written out
_ENDS_WITHIN_S: Final = 1.0  # a child that was killed
_AT_ONCE_S: Final = 0.5  # a process whose time is up; a script that does not end takes longer to be ended
_REASON: Final = 120  # characters
LIMITS: Final = "1 s of CPU, 128 MB of memory"

_NOT_STARTED: Final = "cannot be started"


class Opened(msgspec.Struct):
    """A connection to a process that waits for a script."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    child: asyncio.subprocess.Process | None = None

    async def aclose(self) -> None:
        self.writer.transport.abort()
        if self.child is not None:
            await _end(self.child)


class PacEvaluator(Protocol):
    """Where scripts are evaluated."""

    async def open(self) -> Opened:
        """OSError if there is nobody."""
        ...


class ByUnit(msgspec.Struct, frozen=True):
    """By `docker-proxy-agent-pac.socket`: a process of its own for each connection."""

    socket: Path

    async def open(self) -> Opened:
        return Opened(*await asyncio.open_unix_connection(self.socket, limit=_LONGEST_REPLY))


class ByChild(msgspec.Struct, frozen=True):
    """By a child, as where no systemd is. As root it becomes `nobody`."""

    argv: tuple[str, ...] = ()  # () is ours; a test's own program

    async def open(self) -> Opened:
        ours, theirs = socket.socketpair()
        try:
            child = await asyncio.create_subprocess_exec(
                *(self.argv or pac_program.argv()),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                cwd="/",
                env={},
                umask=0o077,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            ours.setblocking(False)  # noqa: FBT003 - it takes no keyword
            return Opened(*await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_REPLY), child)
        except BaseException:
            ours.close()
            await _end(child)
            raise


class ByEither(msgspec.Struct, frozen=True):
    """By the unit, if it listens and may be asked, else by a child: for a command, whoever calls it."""

    socket: Path

    async def open(self) -> Opened:
        try:
            return await ByUnit(self.socket).open()
        except OSError:
            return await ByChild().open()


async def _end(child: asyncio.subprocess.Process) -> None:
    try:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                child.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENDS_WITHIN_S):
                    await child.wait()
    finally:
        child._transport.close()  # type: ignore[attr-defined]  # nothing else does


class _Ended(Exception):
    """The process has gone, or says what is no reply."""

    def __init__(self, fault: PacFault, *, is_over: bool = False) -> None:
        super().__init__(fault)
        self.fault = fault
        self.is_over = is_over  # its time was up, however little it did: another one may answer this question


class PacAsker:
    """Any number of questions about one script, one after the other.

    A process answers until its limits end it; the next question starts another. `async with`, or call `aclose`.
    """

    def __init__(self, evaluator: PacEvaluator, script: PacScript, my_ip: str = "") -> None:
        self._evaluator = evaluator
        self._script = script.text.encode()
        self._my_ip = my_ip
        self._opened: Opened | None = None
        self._has_answered = False
        self._turn = asyncio.Lock()

    async def answer(self, question: PacQuestion, timeout_s: float) -> PacAnswer | PacFault:
        """The ways to one host. `timeout_s`: of the wall clock, whatever the script does."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self._turn:
                    return await self._answer(question)
        except TimeoutError:
            return _too_late(timeout_s)

    async def _answer(self, question: PacQuestion) -> PacAnswer | PacFault:
        try:
            return await self._once(question)
        except _Ended as ended:
            if not ended.is_over:
                return ended.fault
        try:
            return await self._once(question)
        except _Ended as ended:
            return ended.fault

    async def _once(self, question: PacQuestion) -> PacAnswer | PacFault:
        try:
            reply = await self._reply_to(question)
        except BaseException:  # also when cancelled, as by the time-out: what it says now belongs to no question
            await self.aclose()
            raise
        return _failed(reply.error) if reply.error else read_answer(reply.answer)

    async def _reply_to(self, question: PacQuestion) -> PacReply:
        if self._opened is not None and self._opened.reader.at_eof():
            await self.aclose()
        opened = self._opened or await self._begin()
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        opened.writer.write(msgspec.json.encode(question) + b"\n")
        reply = await _reply(opened)
        if reply is None:
            was_over = self._has_answered and loop.time() - asked_at < _AT_ONCE_S
            raise _Ended(_failed(f"ended at its limits ({LIMITS})"), is_over=was_over)
        self._has_answered = True
        return reply

    async def _begin(self) -> Opened:
        try:
            self._opened = opened = await self._evaluator.open()
        except OSError as error:
            raise _Ended(_failed(f"{_NOT_STARTED} ({error.strerror or 'no reason given'})")) from error
        self._has_answered = False
        opened.writer.write(msgspec.json.encode(PacOrder(len(self._script), self._my_ip)) + b"\n" + self._script)
        if await _reply(opened) is None:
            raise _Ended(_failed("its process did not start. See: journalctl -u 'docker-proxy-agent-pac*'"))
        return opened

    @property
    def is_open(self) -> bool:
        """Whether its process can be asked once more."""
        return self._opened is not None

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def ask(
    evaluator: PacEvaluator, script: PacScript, my_ip: str, questions: Sequence[PacQuestion], timeout_s: float
) -> tuple[PacAnswer | PacFault, ...]:
    """What the script says of each, in this order. All of them together take one process and `timeout_s`."""
    found: list[PacAnswer | PacFault] = []
    try:
        async with asyncio.timeout(timeout_s), PacAsker(evaluator, script, my_ip) as asker:
            for question in questions:
                answer = await asker.answer(question, timeout_s)
                found.append(answer)
                if isinstance(answer, PacFault) and not asker.is_open:  # each of the others might take as long
                    break
    except TimeoutError:
        found.append(_too_late(timeout_s))
    return (*found, *found[-1:] * (len(questions) - len(found)))


async def _reply(opened: Opened) -> PacReply | None:
    """None: it has gone. _Ended if it says something else."""
    try:
        line = await opened.reader.readline()
        return msgspec.json.decode(line, type=PacReply) if line.endswith(b"\n") else None
    except ConnectionError:
        return None
    except (ValueError, msgspec.MsgspecError) as error:  # too long, or no reply
        raise _Ended(_failed("its process answered with something else")) from error


def _too_late(timeout_s: float) -> PacFault:
    return PacFault(Outcome.TIMEOUT, f"evaluating the PAC file: timed out after {timeout_s:g} s")


def _failed(what: str) -> PacFault:
    evidence = f"evaluating the PAC file: {escaped(what, _REASON)}"
    is_too_old = what.startswith("needs pacparser")
    if is_too_old or what == "pacparser is not installed":
        evidence = f"{evidence}. Run: {pac_program.how_to_install(is_there=is_too_old)}"
    return PacFault(Outcome.ERROR, evidence)


def is_not_started(answers: Sequence[PacAnswer | PacFault]) -> bool:
    """Whether nobody was there to ask."""
    return bool(answers) and all(isinstance(one, PacFault) and _NOT_STARTED in one.evidence for one in answers)

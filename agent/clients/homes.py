"""The files below people's homes, read and written as the person whose home it is.

Nothing below a home is opened or looked at here: a helper process (`home_helper.py`) does that with the user's rights,
so that no link, however placed, leads further than the user could go alone. A helper that does not answer in time is
killed, and if it cannot be killed (its file system hangs, and the kernel waits for it) it is left behind: a hung home
blocks only itself. What a helper answers is somebody else's word, and is taken only if it has the form of an answer.

Whether a file is still as it was read is told by a watch on the folders on the way to it. The helper opens them and
passes them on; no path below a home is resolved here for that, either.

Not known here: what stands in the files, and whose home is looked at.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from agent.clients.descriptors import let_go
from agent.clients.home_helper import (
    MOST_FOLDERS,
    Closed,
    Contexts,
    Engines,
    Failed,
    FileAttributes,
    FoundFile,
    HelperAnswer,
    HelperRequest,
    Introduction,
    LockedHome,
    NotThere,
    PassedFolders,
    PassFolders,
    Read,
    SomebodyWrote,
    Sweep,
    Swept,
    User,
    Write,
    Wrote,
)
from agent.clients.users import Threshold
from agent.system.files import LARGEST, Changed, Identity
from agent.system.one_thread import in_turn
from agent.system.running_time import Left
from agent.values.errors import HomeSilent, TargetFailed
from agent.values.secret import escaped

_WITHIN_S: Final = 10.0
_AT_ONCE: Final = 4  # helpers, of 12 MiB each; never two of one user, or one could hold all others up
_MAKES_WAY_S: Final = 1.0  # for who waits
# Beside who writes all the time: each try takes milliseconds, a `docker login` longer than a few of them; on a busy
# machine either may take much longer.
_TRIES: Final = 20
_TRIES_FOR_S: Final = 3.0
_KILLED_WITHIN_S: Final = 0.5  # a process that can be killed is gone in 10 ms
_LONGEST_ANSWER: Final = LARGEST * 4 // 3 + 16 * 1024  # bytes: the file in base64, and what is said about it

_AGAIN: Final = "docker-proxy-agent apply"
_HANGS: Final = f"See whether its file system hangs (findmnt, dmesg), then: {_AGAIN}"


class HomeOwner(Protocol):
    """Whose home it is."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def groups(self) -> Sequence[int]: ...
    @property
    def threshold(self) -> Threshold | None: ...
    @property
    def inside(self) -> Path | None: ...


class HomeClosed(TargetFailed):
    """Not even its user may look there now."""


class HomeLocked(TargetFailed):
    """It is encrypted, and its user is not there."""


class Passed(msgspec.Struct, frozen=True):
    """A folder that a helper passed, and the name in it that leads on."""

    descriptor: int
    name: bytes


class Watch(Protocol):
    """Tells whether a file may have changed since it was read."""

    async def begin(self, account: HomeOwner, path: Path) -> None:
        """It is read after this: what comes from here on is a change."""
        ...

    async def follow(self, account: HomeOwner, path: Path, passed: Sequence[Passed], *, is_whole: bool) -> None:
        """The folders on the way to it, of which the caller lets go afterwards; not whole: some are missing."""
        ...

    def is_still(self, account: HomeOwner, path: Path, within_s: float) -> bool:
        """Whether nothing was told since. Where not everything is watched: whether that was less than so long ago."""
        ...

    def keep(self, files: Collection[tuple[int, Path]]) -> None:
        """Of no others there is anything to tell any more; by uid and path."""
        ...


class HomeFile(msgspec.Struct, frozen=True):
    """A file as the helper saw it. It may hold a password or a token, so it does not show what stands in it."""

    real: Path  # behind all links, as the user is led; for display and comparison
    text: str
    mode: int
    uid: int
    gid: int
    identity: Identity

    def __repr__(self) -> str:
        return f"HomeFile({str(self.real)!r}, {len(self.text)} characters, {self.mode:04o})"


class Written(msgspec.Struct, frozen=True):
    """One file before and after a write; None: there was, or is, no file."""

    path: Path
    before: HomeFile | None
    after: HomeFile | None
    made_folder: bool


_T = TypeVar("_T")


class Homes:
    """The homes of this machine. One for the life of the agent: it remembers which of them hang."""

    def __init__(
        self,
        *,
        within_s: float = _WITHIN_S,
        at_once: int = _AT_ONCE,
        argv: Sequence[str] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._within_s = within_s
        self._argv = tuple(argv) if argv is not None else helper_argv()
        self._turns = _Turns(at_once)
        self._turn_of: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._hanging: dict[tuple[int, Path], _Helper] = {}
        self._watch = watch

    async def read(self, account: HomeOwner, path: Path) -> HomeFile | None:
        """What stands in a file; None if there is none. TargetFailed if it cannot be read or is not UTF-8."""

        async def talk(helper: _Helper) -> HomeFile | None:
            if self._watch is not None:  # before it is read, so that no change falls in between
                await self._watch.begin(account, path)
                if account.threshold is not None:
                    await self._follow(self._watch, account, path, helper)
            return await helper.read()

        return await self._with_helper(account, path, talk)

    async def has_remote_context(self, account: HomeOwner, path: Path) -> bool:
        """Whether a context beside the file leads to an engine that is not on a socket of this host."""
        return await self._with_helper(account, path, lambda helper: helper.has_remote_context())

    def is_still(self, account: HomeOwner, path: Path, within_s: float) -> bool:
        """Whether a file surely is as it was read; or that was less than so long ago, and nothing can be sure."""
        return self._watch is not None and self._watch.is_still(account, path, within_s)

    def keep(self, files: Collection[tuple[int, Path]]) -> None:
        """Only these are asked for from now on; by uid and path."""
        if self._watch is not None:
            self._watch.keep(files)

    async def _follow(self, watch: Watch, account: HomeOwner, path: Path, helper: _Helper) -> None:
        assert account.threshold is not None  # noqa: S101 - the caller looked
        passed: list[Passed] = []
        try:
            is_whole = await helper.pass_folders(account.threshold, passed)
            await watch.follow(account, path, passed, is_whole=is_whole)
        finally:
            for one in passed:
                let_go(one.descriptor)

    async def write(  # noqa: PLR0913 - named at every call
        self,
        account: HomeOwner,
        path: Path,
        before: str | None,
        after: str | None,
        *,
        mode: int | None = None,
        may_create: bool = False,
        folder_was_there: bool = True,
    ) -> Written:
        """Turn the text `before` into `after` (None: no file). Changed if something else stands there by now.

        Without a mode the file keeps its own; a new one is 0600, and a folder made for it 0700. A file that is removed
        takes its folder along if that was not there before, and is empty.
        """
        request = Write(
            os.fsencode(path),
            before=_bytes(before),
            after=_bytes(after),
            mode=mode,
            may_create=may_create,
            folder_was_there=folder_was_there,
        )
        return await self._with_helper(account, path, lambda helper: helper.write(request))

    async def edit(  # noqa: PLR0913 - named at every call
        self,
        account: HomeOwner,
        path: Path,
        change: Callable[[str | None], str | None],
        *,
        may_create: bool = False,
        mode: int | None = None,
        folder_was_there: bool = True,
    ) -> Written:
        """Write what `change` makes of the text, and again whenever somebody else wrote in between; not if the same.

        Between reading and writing lies a millisecond, not the start of a helper: so it ends even beside somebody who
        writes all the time. Changed if it does not. A file for which
        `change` says None is removed, as by `write`.
        """

        request = Write(
            os.fsencode(path),
            before=None,
            after=None,
            mode=mode,
            may_create=may_create,
            folder_was_there=folder_was_there,
        )

        async def talk(helper: _Helper) -> Written:
            tries, left = 0, Left(_TRIES_FOR_S)
            while tries < _TRIES or not left.is_over():
                tries += 1
                found = await helper.read()
                before = None if found is None else found.text
                async with helper.turn.ours():  # a large file takes its time, and others' come first
                    after = await in_turn(change, before)
                if after == before:
                    return Written(path, found, found, made_folder=False)
                with contextlib.suppress(Changed):
                    return await helper.write(
                        msgspec.structs.replace(request, before=_bytes(before), after=_bytes(after))
                    )
            raise Changed(path)

        return await self._with_helper(account, path, talk)

    async def put_back(self, account: HomeOwner, written: Written) -> None:
        """The file as it was before a write. Changed if somebody else wrote since: theirs stands."""
        before, after = written.before, written.after
        await self.write(
            account,
            written.path,
            None if after is None else after.text,
            None if before is None else before.text,
            mode=None if before is None else before.mode,
            may_create=True,
            folder_was_there=not written.made_folder,
        )

    async def sweep(self, account: HomeOwner, path: Path) -> int:
        """Clear a file's folder of what a crash left there, as `files.sweep`: once, before anything is written."""
        return await self._with_helper(account, path, lambda helper: helper.sweep())

    async def _with_helper(self, account: HomeOwner, path: Path, talk: Callable[[_Helper], Awaitable[_T]]) -> _T:
        place = (account.uid, path)
        if place in self._hanging and self._hanging[place].is_running:
            # Or every pass would leave one more behind that nobody can end.
            raise HomeSilent(str(path), "still gives no answer: a helper hangs there, killed in vain", _HANGS)
        self._hanging.pop(place, None)
        async with self._turn_of[account.uid], self._turns.one() as turn:
            helper = await _Helper.start(self._argv, account, path, self._within_s)
            helper.turn = turn
            try:
                async with asyncio.timeout(self._within_s) as turn.limit:
                    return await talk(helper)
            except TimeoutError as error:
                unsure = "; whether it was written is not known" if helper.is_writing else "; left as it is"
                within_s = turn.lasted_s() if turn.has_made_way else self._within_s
                raise HomeSilent(str(path), f"no answer within {within_s:.2g} s{unsure}", _HANGS) from error
            finally:
                turn.limit = None  # it ends by itself now
                # Whatever it has answered is done and on the disk, so there is nothing that it could lose.
                await helper.end()
                if helper.is_running:
                    self._hanging[place] = helper


class _Turn:
    """That of one helper."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.since_s = self._loop.time()
        self.limit: asyncio.Timeout | None = None
        self.has_made_way = False
        self.is_ours = False

    def lasted_s(self) -> float:
        return self._loop.time() - self.since_s

    @contextlib.asynccontextmanager
    async def ours(self) -> AsyncIterator[None]:
        """What takes its time now is not the helper's to answer for."""
        ends = self.limit.when() if self.limit is not None else None
        since_s = self._loop.time()
        self.is_ours = True
        self._ends_at(None)
        try:
            yield
        finally:
            took_s = self._loop.time() - since_s
            self.is_ours = False
            self.since_s += took_s
            if ends is not None:
                self._ends_at(ends + took_s)

    def _ends_at(self, when: float | None) -> None:
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(when)

    def make_way(self) -> None:
        if self.limit is not None and not self.limit.expired():
            self.has_made_way = True
            self.limit.reschedule(self._loop.time())


class _Turns:
    """So many at once; where somebody waits for one, the one that lasts longest makes way after a while.

    Else some who stop their helpers would hold up everybody else for as long as a helper may take.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._taken: list[_Turn] = []
        self._free = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[_Turn]:
        async with self._free:
            while len(self._taken) >= self._at_once:
                oldest = next((turn for turn in self._taken if not turn.is_ours), None)
                left_s = _MAKES_WAY_S - oldest.lasted_s() if oldest is not None else _MAKES_WAY_S
                if oldest is not None and left_s <= 0:
                    oldest.make_way()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s if left_s > 0 else _MAKES_WAY_S):
                        await self._free.wait()
            turn = _Turn()
            self._taken.append(turn)
        try:
            yield turn
        finally:
            self._taken.remove(turn)
            async with self._free:
                self._free.notify()


# --- the helper, seen from here ----------------------------------------------------------------------------------

# The folders in which `agent` and msgspec lie, and nothing else of what site would add: as root, the helper runs
# no .pth file and no sitecustomize, and starts faster. msgspec imports typing_extensions wherever it is
# installed, which it does not need: 20 ms.
_CODE: Final = """\
import sys
sys.path += sys.argv[1:]
sys.modules["typing_extensions"] = None
from agent.clients.home_helper import main
main()
"""


def helper_argv() -> tuple[str, ...]:
    """The command of a helper that runs the very code that this process runs, wherever that lies."""
    ours, msgspecs = Path(__file__).absolute().parents[2], Path(str(msgspec.__file__)).absolute().parents[1]
    return (sys.executable, "-I", "-S", "-X", "utf8", "-c", _CODE, str(ours), str(msgspecs))


_ANSWERS: Final = msgspec.json.Decoder(HelperAnswer)


class _Helper(asyncio.SubprocessProtocol):
    """One helper process and the talk with it. Whoever starts one ends it."""

    def __init__(self, path: Path, ours: socket.socket) -> None:
        self.turn = _Turn()
        self.is_writing = False
        self._path = path
        self._socket = ours
        self._transport: asyncio.SubprocessTransport | None = None
        self._introduction = b""  # goes before the first request
        self._received = bytearray()
        self._heard = asyncio.Event()
        self._is_silent = False
        self._gone = asyncio.Event()

    @classmethod
    async def start(cls, argv: Sequence[str], account: HomeOwner, path: Path, within_s: float) -> _Helper:
        """A helper of that account, who has been told who it is."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            _, helper = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(path, ours),
                *argv,
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # never below a home
                env={},
                umask=0o077,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise TargetFailed(
                str(path), f"no helper process: {error.strerror}; left as it is", f"Fix this, then run: {_AGAIN}"
            ) from error
        except asyncio.CancelledError:
            ours.close()
            raise
        finally:
            theirs.close()
        is_own = account.uid == os.geteuid()
        user = None if is_own else User(account.uid, account.gid, tuple(account.groups))
        inside = None if account.inside is None else os.fsencode(account.inside)
        helper._introduction = msgspec.json.encode(Introduction(user, within_s, inside)) + b"\n"
        return helper

    # --- questions -----------------------------------------------------------------------------------------------

    async def read(self) -> HomeFile | None:
        answer = await self._ask(Read(os.fsencode(self._path)))
        match answer:
            case NotThere():
                return None
            case FoundFile():
                return _home_file(answer.attributes, self._text(answer.data))
            case Closed():
                raise HomeClosed(str(self._path), escaped(answer.what), escaped(answer.remedy))
            case LockedHome():
                raise HomeLocked(str(self._path), "its home is encrypted, and not open")
        raise self._nonsense()

    async def pass_folders(self, threshold: Threshold, passed: list[Passed]) -> bool:
        """Whether all folders on the way from there are known; they come into `passed`, to be let go of in any case."""
        answer = await self._ask(PassFolders(os.fsencode(threshold.folder), tuple(map(os.fsencode, threshold.below))))
        if not isinstance(answer, PassedFolders):
            raise self._nonsense()
        descriptors = self._receive() if answer.names else []
        names = itertools.chain(answer.names, itertools.repeat(b""))  # whatever came is to be let go of
        passed += map(Passed, descriptors, names)
        return answer.is_whole and len(descriptors) == len(answer.names)

    def _receive(self) -> list[int]:
        """They were sent before the answer. What was not asked for goes with the socket."""
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

    async def write(self, request: Write) -> Written:
        answer = await self._ask(request)
        # Each side has to be there exactly if its text was given.
        if (
            not isinstance(answer, Wrote)
            or (answer.before is None) != (request.before is None)
            or (answer.after is None) != (request.after is None)
        ):
            raise self._nonsense()
        before, after = (
            None if attributes is None or data is None else _home_file(attributes, data.decode())
            for attributes, data in ((answer.before, request.before), (answer.after, request.after))
        )
        return Written(self._path, before, after, answer.made_folder)

    async def has_remote_context(self) -> bool:
        answer = await self._ask(Contexts(os.fsencode(self._path)))
        if not isinstance(answer, Engines):
            raise self._nonsense()
        return answer.is_remote

    async def sweep(self) -> int:
        answer = await self._ask(Sweep(os.fsencode(self._path)))
        if not isinstance(answer, Swept):
            raise self._nonsense()
        return answer.left

    async def _ask(self, request: HelperRequest) -> HelperAnswer:
        """The answer; the two that mean an exception are raised."""
        self.is_writing = isinstance(request, Write)
        await self._say(msgspec.json.encode(request) + b"\n")
        line = await self._line()
        try:
            answer: HelperAnswer = _ANSWERS.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._nonsense() from error
        match answer:
            case SomebodyWrote():
                raise Changed(self._path)
            case Failed():
                raise TargetFailed(str(self._path), escaped(answer.what), escaped(answer.remedy))
        return answer

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            what = f"byte {error.start} is not UTF-8; left as it is"
            # Not from `error`, which carries the bytes.
            raise TargetFailed(str(self._path), what, f"Fix it, then run: {_AGAIN}") from None

    def _nonsense(self) -> TargetFailed:
        return self._failed("its helper process did not answer as it should")

    def _failed(self, what: str) -> TargetFailed:
        unsure = "whether it was written is not known" if self.is_writing else "left as it is"
        return TargetFailed(str(self._path), f"{what}; {unsure}", f"Try again: {_AGAIN}")

    # --- lines ---------------------------------------------------------------------------------------------------

    async def _say(self, line: bytes) -> None:
        introduction, self._introduction = self._introduction, b""
        # A helper that is gone is asked in vain, and its fate is the answer.
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._socket, introduction + line)

    async def _line(self) -> bytes:
        while b"\n" not in self._received:
            if len(self._received) > _LONGEST_ANSWER:
                raise self._nonsense()
            if self._is_silent:
                raise self._failed(f"its helper process {await self._fate()} without an answer")
            self._heard.clear()
            await self._heard.wait()
        line, _, rest = bytes(self._received).partition(b"\n")
        if rest or len(line) > _LONGEST_ANSWER:
            raise self._nonsense()
        self._received.clear()
        return line

    async def _fate(self) -> str:
        await self._gone.wait()
        status = self._transport.get_returncode() if self._transport is not None else None
        return f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"

    # --- what asyncio tells --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 - asyncio's promise
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - stdout's alone
        if len(self._received) <= _LONGEST_ANSWER:  # more than that is not kept, only known
            self._received += data
        self._heard.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - why is `_fate`
        if fd == 1:
            self._is_silent = True
            self._heard.set()

    def process_exited(self) -> None:
        self._gone.set()

    # --- the end -------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return not self._gone.is_set()

    async def end(self) -> None:
        """Kill it, wait a moment for its end, and let go of it in any case.

        Where the kernel holds it fast, asyncio goes on waiting for it, and takes away what is left when it ends: no
        zombie stays, and nobody here waits.
        """
        self._socket.close()
        if self._transport is None:
            return
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILLED_WITHIN_S):
                    await self._gone.wait()
        finally:
            self._transport.close()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _home_file(attributes: FileAttributes, text: str) -> HomeFile:
    return HomeFile(
        Path(os.fsdecode(attributes.real)),
        text,
        mode=attributes.mode,
        uid=attributes.uid,
        gid=attributes.gid,
        identity=attributes.identity,
    )

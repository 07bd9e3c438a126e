"""The files below users' homes, each read and written as the user whose home it is.

Nothing below a home is opened or looked at here: a helper process (`home_helper.py`) does that with the user's rights,
so that no link leads further than the user could go without us. A helper that does not answer in time is killed. If it
cannot be killed (its file system hangs, and the kernel waits for it), it is left behind: a hung home blocks only
itself. A helper's answer is not trusted: it counts only if it has the form of an answer.

Whether a file is still as it was read is known from a watch on the folders on the way to it. The helper opens them and
passes them on; no path below a home is resolved here for that, either.

Not known here: what is in the files, and whose homes are read.
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
    NoFile,
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
_AT_ONCE: Final = 4  # helpers, of 12 MiB each; never two for one user, or one user could hold up all others
_MAKES_WAY_S: Final = 1.0  # for those that wait
# Against a program that writes all the time: each try takes milliseconds, a `docker login` longer than a few of them;
# on a busy machine either may take much longer.
_TRIES: Final = 20
_TRIES_FOR_S: Final = 3.0
_KILLED_WITHIN_S: Final = 0.5  # a process that can be killed is gone in 10 ms
_LONGEST_ANSWER: Final = LARGEST * 4 // 3 + 16 * 1024  # bytes: the file in base64, and its attributes

_AGAIN: Final = "docker-proxy-agent apply"
_HANGS: Final = f"Check whether its file system hangs (findmnt, dmesg), then run: {_AGAIN}"


class HomeOwner(Protocol):
    """The user that a helper runs as."""

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
    """Not even its user can look there now."""


class HomeLocked(TargetFailed):
    """It is encrypted, and not open."""


class Passed(msgspec.Struct, frozen=True):
    """A folder that a helper passed, and the name looked up in it."""

    descriptor: int
    name: bytes


class Watch(Protocol):
    """Knows whether a file may have changed since it was read."""

    async def begin(self, account: HomeOwner, path: Path) -> None:
        """Called before the file is read: every event from now on is a change."""
        ...

    async def follow(self, account: HomeOwner, path: Path, passed: Sequence[Passed], *, is_whole: bool) -> None:
        """The folders on the way to it, which the caller closes afterwards; not whole: some are missing."""
        ...

    def is_still(self, account: HomeOwner, path: Path, within_s: float) -> bool:
        """Whether there was no event since. If not everything is watched: whether it was read less than so long ago."""
        ...

    def keep(self, files: Collection[tuple[int, Path]]) -> None:
        """Stop watching all other files; by uid and path."""
        ...


class HomeFile(msgspec.Struct, frozen=True):
    """A file as the helper saw it. It may hold a password or a token, so its text is not shown."""

    real: Path  # behind all links, as the user sees them; for display and comparison
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
    """The homes of this machine. One object for the life of the agent: it remembers which homes hang."""

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
        """The text of a file; None if there is none. TargetFailed if it cannot be read or is not UTF-8."""

        async def talk(helper: _Helper) -> HomeFile | None:
            if self._watch is not None:  # before reading, so that no change is missed in between
                await self._watch.begin(account, path)
                if account.threshold is not None:
                    await self._follow(self._watch, account, path, helper)
            return await helper.read()

        return await self._with_helper(account, path, talk)

    async def has_other_engine(self, account: HomeOwner, path: Path, known: Sequence[str]) -> bool:
        """Whether a context beside the file leads to an engine that the client does not call by one of these names."""
        return await self._with_helper(account, path, lambda helper: helper.has_other_engine(known))

    def is_still(self, account: HomeOwner, path: Path, within_s: float) -> bool:
        """Whether a file is still as it was read. If that is unknown: whether it was read less than so long ago."""
        return self._watch is not None and self._watch.is_still(account, path, within_s)

    def keep(self, files: Collection[tuple[int, Path]]) -> None:
        """Only these files are read from now on; by uid and path."""
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
        """Turn the text `before` into `after` (None: no file). Changed if the file has another text by now.

        Without a mode the file keeps its own; a new file is 0600, and a folder created for it 0700. When a file is
        removed, its empty folder is removed, too, if it was not there before.
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
        """Write what `change` makes of the text, unless that is the same; again if the file changed in between.

        Between reading and writing there is a millisecond, not the start of a helper, so it ends even if another
        program writes all the time. Changed if it does not. If `change` returns None, the file is removed, as by
        `write`.
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
                async with helper.turn.ours():  # a large file takes time, and other users' files may come first
                    after = await in_turn(change, before)
                if after == before:
                    return Written(path, found, found, made_folder=False)
                with contextlib.suppress(Changed):
                    return await helper.write(
                        msgspec.structs.replace(request, before=_bytes(before), after=_bytes(after))
                    )
            raise Changed(path)

        return await self._with_helper(account, path, talk)

    async def sweep(self, account: HomeOwner, path: Path) -> int:
        """Remove what a crash left in the file's folder, like `files.sweep`: once, before anything is written."""
        return await self._with_helper(account, path, lambda helper: helper.sweep())

    async def _with_helper(self, account: HomeOwner, path: Path, talk: Callable[[_Helper], Awaitable[_T]]) -> _T:
        place = (account.uid, path)
        if place in self._hanging and self._hanging[place].is_running:
            # Or every pass would leave one more behind that cannot be killed.
            raise HomeSilent(str(path), "still does not answer: a helper hangs there and cannot be killed", _HANGS)
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
                turn.limit = None  # it ends anyway now
                # All that it has answered is done and on the disk, so killing it loses nothing.
                await helper.end()
                if helper.is_running:
                    self._hanging[place] = helper


class _Turn:
    """The turn of one helper."""

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
        """Time that does not count against the helper: the agent itself works meanwhile."""
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
    """So many at once. While others wait for a turn, the longest one is ended after a while.

    Else users who stop their helpers would hold up all others for as long as a helper may take.
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


_ANSWERS: Final = msgspec.json.Decoder(HelperAnswer)


class _Helper(asyncio.SubprocessProtocol):
    """One helper process, and the talk with it. The caller that starts one ends it."""

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
        """Start a helper that runs as the owner of the home."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - it takes no keyword; SOCK_NONBLOCK would be for both ends
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

    async def read(self) -> HomeFile | None:
        answer = await self._ask(Read(os.fsencode(self._path)))
        match answer:
            case NoFile():
                return None
            case FoundFile():
                return _home_file(answer.attributes, self._text(answer.data))
            case Closed():
                raise HomeClosed(str(self._path), escaped(answer.what), escaped(answer.remedy))
            case LockedHome():
                raise HomeLocked(str(self._path), "its home is encrypted, and not open")
        raise self._nonsense()

    async def pass_folders(self, threshold: Threshold, passed: list[Passed]) -> bool:
        """Put the folders on the way from there into `passed`, for the caller to close. Whether these are all."""
        answer = await self._ask(PassFolders(os.fsencode(threshold.folder), tuple(map(os.fsencode, threshold.below))))
        if not isinstance(answer, PassedFolders):
            raise self._nonsense()
        descriptors = self._receive() if answer.names else []
        names = itertools.chain(answer.names, itertools.repeat(b""))  # all that came must be closed
        passed += map(Passed, descriptors, names)
        return answer.is_whole and len(descriptors) == len(answer.names)

    def _receive(self) -> list[int]:
        """The descriptors were sent before the answer. Any others are closed with the socket."""
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
        # Each side must be there exactly if its text was given.
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

    async def has_other_engine(self, known: Sequence[str]) -> bool:
        answer = await self._ask(Contexts(os.fsencode(self._path), tuple(known)))
        if not isinstance(answer, Engines):
            raise self._nonsense()
        return answer.has_other

    async def sweep(self) -> int:
        answer = await self._ask(Sweep(os.fsencode(self._path)))
        if not isinstance(answer, Swept):
            raise self._nonsense()
        return answer.left

    async def _ask(self, request: HelperRequest) -> HelperAnswer:
        """The answer. The two that mean an exception are raised."""
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
            # Not from `error`: it holds the bytes.
            raise TargetFailed(str(self._path), what, f"Fix it, then run: {_AGAIN}") from None

    def _nonsense(self) -> TargetFailed:
        return self._failed("its helper process gave an invalid answer")

    def _failed(self, what: str) -> TargetFailed:
        unsure = "whether it was written is not known" if self.is_writing else "left as it is"
        return TargetFailed(str(self._path), f"{what}; {unsure}", f"Try again: {_AGAIN}")

    async def _say(self, line: bytes) -> None:
        introduction, self._introduction = self._introduction, b""
        # If the helper is gone, the answer says how it ended.
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

    @property
    def is_running(self) -> bool:
        return not self._gone.is_set()

    async def end(self) -> None:
        """Kill it, wait a moment for its end, and let go of it in any case.

        If the kernel does not let it end, asyncio goes on waiting and reaps it later: no zombie stays, and nothing
        here waits.
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

"""The files below users' homes, each read and written as the user whose home it is.

Nothing below a home is opened or looked at here: a helper process (`home_helper.py`) does that with the user's rights,
so that no link leads further than the user could go without us. Within a pass one helper serves all that is asked of a
user; each request opens its path anew. A helper that does not answer in time is killed. If it cannot be killed (its
file system hangs, and the kernel waits for it), it is left behind: a hung home blocks only itself.

Whether a file is still as it was read is known from a watch on the folders on the way to it. The helper opens them and
passes them on; no path below a home is resolved here for that, either.

Not known here: what is in the files, and whose homes are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from agent.clients.descriptors import let_go
from agent.clients.helper_process import HelperFailed, HelperProcess, end, gave_nonsense, helper_argv
from agent.clients.home_helper import (
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
from agent.system.files import Changed, Identity
from agent.system.one_thread import in_turn
from agent.system.running_time import Left
from agent.values.errors import HomeSilent, TargetFailed
from agent.values.secret import escaped

_WITHIN_S: Final = 10.0
# Helpers, at work or kept, of 12 MiB each; never two for one user, or one user could hold up all others.
_AT_ONCE: Final = 4
_MAKES_WAY_S: Final = 1.0  # for those that wait
# Against a program that writes all the time: each try takes milliseconds, a `docker login` longer than a few of them;
# on a busy machine either may take much longer.
_TRIES: Final = 20
_TRIES_FOR_S: Final = 3.0

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
        self._at_once = at_once
        self._turns = _Turns(at_once)
        self._turn_of: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._hanging: dict[tuple[int, Path], HelperProcess] = {}
        self._watch = watch
        self._kept: dict[int, HelperProcess] | None = None  # by uid, kept longest first; None: no pass is made

    async def read(self, account: HomeOwner, path: Path) -> HomeFile | None:
        """The text of a file; None if there is none. TargetFailed if it cannot be read or is not UTF-8."""

        async def ask(talk: _Talk) -> HomeFile | None:
            if self._watch is not None:  # before reading, so that no change is missed in between
                await self._watch.begin(account, path)
                if account.threshold is not None:
                    await self._follow(self._watch, account, path, talk)
            return await talk.read()

        return await self._with_helper(account, path, ask)

    async def has_other_engine(self, account: HomeOwner, path: Path, known: Sequence[str]) -> bool:
        """Whether a context beside the file leads to an engine that the client does not call by one of these names."""
        return await self._with_helper(account, path, lambda talk: talk.has_other_engine(known))

    def is_still(self, account: HomeOwner, path: Path, within_s: float) -> bool:
        """Whether a file is still as it was read. If that is unknown: whether it was read less than so long ago."""
        return self._watch is not None and self._watch.is_still(account, path, within_s)

    def keep(self, files: Collection[tuple[int, Path]]) -> None:
        """Only these files are read from now on; by uid and path."""
        if self._watch is not None:
            self._watch.keep(files)

    async def _follow(self, watch: Watch, account: HomeOwner, path: Path, talk: _Talk) -> None:
        assert account.threshold is not None  # noqa: S101 - the caller looked
        passed: list[Passed] = []
        try:
            is_whole = await talk.pass_folders(account.threshold, passed)
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
        return await self._with_helper(account, path, lambda talk: talk.write(request))

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

        async def ask(talk: _Talk) -> Written:
            tries, left = 0, Left(_TRIES_FOR_S)
            while tries < _TRIES or not left.is_over():
                tries += 1
                found = await talk.read()
                before = None if found is None else found.text
                async with talk.turn.ours():  # a large file takes time, and other users' files may come first
                    after = await in_turn(change, before)
                if after == before:
                    return Written(path, found, found, made_folder=False)
                with contextlib.suppress(Changed):
                    return await talk.write(
                        msgspec.structs.replace(request, before=_bytes(before), after=_bytes(after))
                    )
            raise Changed(path)

        return await self._with_helper(account, path, ask)

    async def sweep(self, account: HomeOwner, path: Path) -> int:
        """Remove what a crash left in the file's folder, like `files.sweep`: once, before anything is written."""
        return await self._with_helper(account, path, lambda talk: talk.sweep())

    @contextlib.asynccontextmanager
    async def one_pass(self) -> AsyncIterator[None]:
        """Within it a user's helper is kept for what else is asked of that user, and ended when it is over.

        Within another one it is a part of that. A request that goes on after it keeps none.
        """
        if self._kept is not None:
            yield
            return
        kept: dict[int, HelperProcess] = {}
        self._kept = kept
        try:
            yield
        finally:
            self._kept = None
            await end(kept.values())

    async def _with_helper(self, account: HomeOwner, path: Path, ask: Callable[[_Talk], Awaitable[_T]]) -> _T:
        place = (account.uid, path)
        if place in self._hanging and self._hanging[place].is_running:
            # Or every pass would leave one more behind that cannot be killed.
            raise HomeSilent(str(path), "still does not answer: a helper hangs there and cannot be killed", _HANGS)
        self._hanging.pop(place, None)
        async with self._turn_of[account.uid], self._turns.one() as turn:
            kept = self._kept
            helper = await self._helper_of(account, path)
            talk = _Talk(helper, path, turn)
            try:
                async with asyncio.timeout(self._within_s) as turn.limit:
                    return await ask(talk)
            except TimeoutError as error:
                unsure = "; whether it was written is not known" if talk.is_writing else "; left as it is"
                within_s = turn.lasted_s() if turn.has_made_way else self._within_s
                raise HomeSilent(str(path), f"no answer within {within_s:.2g} s{unsure}", _HANGS) from error
            finally:
                turn.limit = None  # it ends anyway now
                if kept is not None and kept is self._kept and helper.is_ready:
                    kept[account.uid] = helper
                else:
                    await end([helper])
                    if helper.is_running:
                        self._hanging[place] = helper

    async def _helper_of(self, account: HomeOwner, path: Path) -> HelperProcess:
        """The one that this pass has kept, or a new one, for which those kept longest make room."""
        introduction = self._introduction(account)
        kept = self._kept if self._kept is not None else {}
        known = kept.pop(account.uid, None)
        if known is not None and known.introduction == introduction and known.is_ready:
            return known
        leaving = [known] if known is not None else []
        while kept and len(kept) + self._turns.taken > self._at_once:
            leaving.append(kept.pop(next(iter(kept))))
        await end(leaving)
        try:
            return await HelperProcess.start(self._argv, introduction)
        except OSError as error:
            raise TargetFailed(
                str(path), f"no helper process: {error.strerror}; left as it is", f"Fix this, then run: {_AGAIN}"
            ) from error

    def _introduction(self, account: HomeOwner) -> Introduction:
        is_own = account.uid == os.geteuid()
        user = None if is_own else User(account.uid, account.gid, tuple(account.groups))
        return Introduction(user, self._within_s, None if account.inside is None else os.fsencode(account.inside))


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

    @property
    def taken(self) -> int:
        return len(self._taken)

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


class _Talk:
    """The talk with a helper about one file."""

    def __init__(self, helper: HelperProcess, path: Path, turn: _Turn) -> None:
        self.turn = turn
        self.is_writing = False
        self._helper = helper
        self._path = path

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
                raise HomeLocked(str(self._path), "its home is encrypted and locked")
        raise self._nonsense()

    async def pass_folders(self, threshold: Threshold, passed: list[Passed]) -> bool:
        """Put the folders on the way from there into `passed`, for the caller to close. Whether these are all."""
        answer = await self._ask(PassFolders(os.fsencode(threshold.folder), tuple(map(os.fsencode, threshold.below))))
        if not isinstance(answer, PassedFolders):
            raise self._nonsense()
        descriptors = self._helper.receive() if answer.names else []
        names = itertools.chain(answer.names, itertools.repeat(b""))  # all that came must be closed
        passed += map(Passed, descriptors, names)
        return answer.is_whole and len(descriptors) == len(answer.names)

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
        try:
            answer = await self._helper.ask(request)
        except HelperFailed as failure:
            raise self._failed(failure.what) from failure
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
        self._helper.distrust()
        return self._failed(gave_nonsense().what)

    def _failed(self, what: str) -> TargetFailed:
        unsure = "whether it was written is not known" if self.is_writing else "left as it is"
        return TargetFailed(str(self._path), f"{what}; {unsure}", f"Try again: {_AGAIN}")


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

"""The clients' files of this machine: whose they are, what they say, and how they are changed.

Each file is a target of its own: a failure in one is reported and does not stop the others. All work below a home is
done by `homes.py`; what a file must say is decided in `decide/clients.py`, from what `from_containers.py` finds out,
and what must change in it in `decide/client_file.py`.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.audit.drift_digests import drift_digests
from agent.audit.record import Record
from agent.clients.bounded_work import BoundedWork, Work
from agent.clients.from_containers import FromContainers
from agent.clients.homes import HomeClosed, HomeFile, HomeLocked, Written
from agent.clients.originals import CLIENTS, client_originals
from agent.clients.users import NOBODYS, Account, FoundBy, Skipped, Who, is_gone
from agent.decide.bridge import Bridge
from agent.decide.client_file import Change, FileEdit, OwnedConfig, Was, beaten_by, is_made_by_us, plan, told_apart
from agent.decide.clients import (
    BACK,
    Around,
    Wanted,
    beside_the_relay,
    entries_for,
    for_clients,
    instead_of_the_relay,
)
from agent.decide.drift import WITHIN_S
from agent.decide.relay import exclusions_of_clients
from agent.system.clock import SYSTEM_CLOCK
from agent.system.kept import Kept
from agent.system.keyed import keyed, keyed_to_compare
from agent.system.one_thread import in_turn
from agent.system.state_file import StateFile
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, HomeSilent, Unexpected
from agent.values.events import Adopted, DriftCorrected, FilesRestored, SettingsWritten, TargetNotWritten
from agent.values.policy import NoProxy, Policy, Scope, Upstream
from agent.values.settings import Settings

_LOOKED_AT_S = 60.0  # with recheck = "0s": files that cannot be watched are read again after this, in any later pass
_CONTEXTS_LOOKED_AT_S = 600.0  # there is no event for a new one; what is written meanwhile does little harm
_MOST_STOOD = 40  # twenty writes within ten minutes


class ClientFile(msgspec.Struct, frozen=True):
    """One user's file in one pass."""

    account: Account
    edit: FileEdit | None = None  # None: nothing needs to be written
    error: str = ""  # why it is left as it is
    gave_up: Condition | None = None  # it is left alone: another program keeps changing our keys
    mode: int | None = None  # the one that it has; None: there is no file
    beaten_by: str = ""  # an entry of the user's that overrides ours
    unexpected: Unexpected | None = None  # the error, if it was not expected
    is_late: bool = False  # it has not answered yet, and is not waited for
    was: Was | None = None  # before the agent first wrote there; known once it is written
    is_local: bool = False  # the settings must not apply to the other engines of its contexts

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def path(self) -> str:
        return str(self.account.config)

    @property
    def is_left(self) -> bool:
        """Whether it is no longer kept."""
        return self.edit is not None and self.edit.change is Change.LEFT


class ClientsSeen(msgspec.Struct, frozen=True):
    """All of the files, and what they should say."""

    wanted: Wanted
    files: tuple[ClientFile, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unexpected: Unexpected | None = None  # why none of them could be looked at

    @property
    def edits(self) -> tuple[ClientFile, ...]:
        return tuple(file for file, _ in _edits(self.files))

    @property
    def failed(self) -> tuple[ClientFile, ...]:
        return tuple(file for file in self.files if file.error)

    @property
    def fact(self) -> str:
        """What was seen of the proxy that those files name; '' if nothing."""
        return self.wanted.fact if self.files else ""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.files and self.wanted.condition is not None:
            yield self.wanted.condition
        for error in (self.unexpected, *(file.unexpected for file in self.files)):
            if error is not None:
                yield Condition(Code.INTERNAL_ERROR, error.what, error.remedy, error.where)
        for file in self.files:
            if file.gave_up is not None:
                yield file.gave_up
            others = self.wanted.elsewhere if file.is_local else None
            if others is not None and others.condition is not None:
                yield msgspec.structs.replace(others.condition, where=file.path)
            if file.beaten_by:
                text = f'proxies has an entry "{file.beaten_by}", which overrides the one kept here'
                remedy = "Remove it if containers should get the settings kept here"
                yield Condition(Code.CLIENT_NOT_EFFECTIVE, text, remedy, file.path)


class Files(Protocol):
    """Reads and writes as another user. TargetFailed: it cannot. Changed: another program wrote meanwhile."""

    def one_pass(self) -> AbstractAsyncContextManager[None]:
        """What is asked of one user within it costs the start of one helper."""
        ...

    async def read(self, account: Account, path: Path) -> HomeFile | None: ...
    async def edit(  # noqa: PLR0913 - named at every call
        self,
        account: Account,
        path: Path,
        change: Callable[[str | None], str | None],
        *,
        may_create: bool = False,
        mode: int | None = None,
        folder_was_there: bool = True,
    ) -> Written: ...
    async def sweep(self, account: Account, path: Path) -> int: ...
    async def has_other_engine(self, account: Account, path: Path, known: Sequence[str]) -> bool:
        """Whether the client may speak to engines that it calls by other names than these."""
        ...

    def is_still(self, account: Account, path: Path, within_s: float) -> bool:
        """Whether a file is still as it was read. If that is unknown: whether it was read less than so long ago."""
        ...

    def keep(self, files: Collection[tuple[int, Path]]) -> None:
        """Only these files are read from now on; by uid and path."""
        ...


Accounts = Callable[[Iterable[str]], tuple[Account, ...]]
_NOT_BACK = "no longer kept, but its owner is unknown now; until that is known, what the agent wrote there stays"
_Shown = ClientFile | Skipped | None  # None: nothing to report


class LocalClients:
    """The clients of this machine."""

    def __init__(  # noqa: PLR0913 - named at its one call
        self,
        *,
        policy: Policy,
        state: Path,
        who: Callable[[], Who],
        accounts: Accounts,
        homes: Files,
        from_containers: FromContainers,
        waits_s: float | None = None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """`waits_s`: how long to wait for a file that does not answer; None: until it does. `told` is called when a
        late one has answered.
        """
        self._policy = policy
        self._who = who
        self._accounts = accounts
        self._homes = homes
        self._from_containers = from_containers
        self._owned: Kept[OwnedConfig] = client_originals(state)
        self._state = state
        self._keyed = keyed(state, CLIENTS)
        self._compared = keyed_to_compare(state, CLIENTS)
        self._writing = StateFile(state / "client-writes.json", tuple[str, ...], 1)
        self._right: dict[Path, _Right] = {}  # the files that said what they should when they were last read
        self._bounded = BoundedWork[_Shown](self, waits_s, told)
        self._waits_s = waits_s
        self._asking: asyncio.Task[Who] | None = None
        self._everybody_was: Who | None = None
        self._known: dict[Path, Account] = {}
        self._last: dict[Path, ClientFile] = {}
        self._stood: dict[Path, tuple[_Stood, ...]] = {}  # what our last writes found and left there

    def one_pass(self) -> AbstractAsyncContextManager[None]:
        """Around all looks and writes of one pass."""
        return self._homes.one_pass()

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        """Compare what every file says with what it should say. Nothing is changed.

        `relay`: what they are given instead of the upstream, if anything.
        """
        who = await self._everybody()
        wanted = await self._wanted(upstream, relay, who)
        owned = self._owned.all()
        left, unknown = await self._left(owned.keys() - {str(account.config) for account in who.accounts})
        everybody = [(account, wanted) for account in who.accounts] + [(account, BACK) for account in left]
        self._known |= {account.config: account for account, _ in everybody}
        files = await self._bounded.each(
            {
                account.config: _work(self._look_at, account, meant, owned.get(str(account.config), OwnedConfig()))
                for account, meant in everybody
            }
        )
        self._last |= {one.account.config: one for one in files if isinstance(one, ClientFile)}
        self._homes.keep({(account.uid, account.config) for account, _ in everybody})
        skipped = (*who.skipped, *unknown, *(one for one in files if isinstance(one, Skipped)))
        return ClientsSeen(wanted, tuple(one for one in files if isinstance(one, ClientFile)), skipped)

    async def _wanted(self, upstream: Upstream, relay: Upstream | None, who: Who) -> Wanted:
        exclusions = self._policy.no_proxy
        if relay is None:
            return await self._as_reached(upstream, exclusions, who)
        wanted = await self._as_reached(relay, exclusions_of_clients(exclusions), who)
        if wanted.is_without_address:
            return instead_of_the_relay(wanted, await self._as_reached(upstream, exclusions, who))
        if self._policy.clients.scope is not Scope.DEFAULT:
            return wanted
        return beside_the_relay(wanted, await self._as_reached(upstream, exclusions, who, is_dns_here=False))

    async def _as_reached(
        self, upstream: Upstream, exclusions: NoProxy, who: Who, *, is_dns_here: bool = True
    ) -> Wanted:
        bridge, around = Bridge(), Around()
        if who.accounts:
            bridge = await self._from_containers.bridge(upstream)
            is_resolved = self._policy.clients.resolve
            around = await self._from_containers.around(upstream, is_resolved=is_resolved, is_dns_here=is_dns_here)
        return for_clients(upstream, self._policy.clients, exclusions, bridge=bridge, around=around)

    async def _left(self, files: Collection[str]) -> tuple[list[Account], list[Skipped]]:
        """The owners of the files that the policy no longer keeps, and the files whose owner is unknown now.

        An account without a name may be in LDAP, which does not answer now: it may be kept again at any moment. A file
        that is missing may be in a home that is not open: nothing is done, and its original stays known.
        """
        if not files:
            return [], []
        accounts = await asyncio.to_thread(self._accounts, files)
        left = [account for account in accounts if account.name != str(account.uid)]
        others = sorted(set(files) - {str(account.config) for account in left})
        return left, [Skipped(file, _NOT_BACK) for file in others if not await asyncio.to_thread(is_gone, file)]

    async def _everybody(self) -> Who:
        """All accounts; the last ones if the name service does not answer: LDAP is away just when the laptop moves."""
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(self._who))
        asking, was = self._asking, self._everybody_was
        # If this look is cut short, the next one waits for the same thread.
        await asyncio.wait([asking], timeout=None if was is None else self._waits_s)
        if was is not None and not asking.done():
            return was
        if self._asking is asking:
            self._asking = None
        self._everybody_was = asking.result()
        return self._everybody_was

    async def recover(self) -> None:
        """Remove what a killed helper left in a home, and passwords that an earlier version kept.

        For the holder of the lock, before anything is written. A home that cannot be read now is tried the next time.
        """
        await asyncio.to_thread(self._owned.take_over)
        files = await asyncio.to_thread(self._writing.load)
        if not files:
            return
        accounts = await asyncio.to_thread(self._accounts, files)
        self._known |= {account.config: account for account in accounts}
        swept = await self._bounded.each({account.config: _work(self._sweep, account) for account in accounts})
        left = {str(account.config) for account, shown in zip(accounts, swept, strict=True) if shown is not None}
        for file in set(files) - {str(account.config) for account in accounts}:
            if not await asyncio.to_thread(is_gone, file):  # a home that is not mounted: again the next time
                left.add(file)
        await asyncio.to_thread(self._note_done, set(files) - left)

    async def _sweep(self, account: Account) -> _Shown:
        """None: it is clean."""
        try:
            await self._homes.sweep(account, account.config)
        except HomeSilent:
            raise
        except AgentError as error:
            return ClientFile(account, error=str(error))
        return None

    async def let_go(self) -> None:
        await self._bounded.let_go()

    async def carry_out(self, seen: ClientsSeen, record: Record) -> tuple[ClientFile, ...]:
        """Write every file that needs it, as its owner. The result of each."""
        await self.recover()
        self._writing.change(lambda known: tuple(dict.fromkeys((*(known or ()), *(file.path for file in seen.edits)))))
        known = self._owned.all()
        owned = {file.path: known.get(file.path, OwnedConfig()) for file in seen.edits}
        kept: list[ClientFile] = []
        done: list[ClientFile] = []
        for file, edit in _edits(seen.files):
            if file.is_left:  # its original stays known until it is restored
                kept.append(file)
                continue
            # The original before the write, what we wrote after it: a crash in between loses neither.
            known_before = owned[file.path]
            # Whether an empty folder was there is not known yet: after a crash it counts as ours.
            was = known_before.was or Was(file.mode is not None, file.mode, file.mode is not None)
            try:
                self._owned.keep(file.path, edit.owned_before(known_before, was))
            except AgentError as error:  # if the original cannot be kept, it is not overwritten, and the others go on
                done.append(ClientFile(file.account, error=f"{file.path}: left as it is, for {error}"))
            else:
                kept.append(file)

        def finish(shown: _Shown) -> None:
            if isinstance(shown, ClientFile):
                self._say(seen, [self._finish(shown)], record)

        written = await self._bounded.each(
            {file.account.config: _work(self._write, file, _meant(file, seen), owned[file.path]) for file in kept},
            finish,
        )
        done.extend(self._finish(shown) for shown in written if isinstance(shown, ClientFile))
        self._say(seen, done, record)
        return tuple(done)

    def _say(self, seen: ClientsSeen, done: Sequence[ClientFile], record: Record) -> None:
        for file, edit in _edits(done):
            if edit.change is Change.ADOPTED:
                record(Adopted(targets=(file.path,), found=edit.old))
            if edit.change is Change.DRIFT:
                before, after = drift_digests(self._state, edit.old, edit.new)
                record(
                    DriftCorrected(
                        targets=(file.path,),
                        found=edit.old,
                        owner=file.name,
                        password_before=before,
                        password_after=after,
                    )
                )
        for file in done:
            if file.error:
                record(TargetNotWritten(targets=(file.path,), error=file.error))
        back = tuple(file.path for file, edit in _edits(done) if file.is_left and edit.text != edit.before)
        if back:
            record(FilesRestored(targets=back, because=BACK.because))
        written = tuple(file.path for file, _ in _edits(done) if not file.is_left)
        if written:
            record(SettingsWritten(because=seen.wanted.because, targets=written))

    def _finish(self, file: ClientFile) -> ClientFile:
        """Remember what was written. What was not written, or may be half done, is handled the next time."""
        if file.error or file.is_late:
            return file
        try:
            if file.is_left:
                self._owned.forget([file.path])
            elif file.edit is not None:
                self._owned.keep(file.path, file.edit.owned(file.was, self._keyed))
            self._note_done({file.path})
        except AgentError as error:
            return msgspec.structs.replace(file, error=str(error))
        return file

    def _note_done(self, done: Collection[str]) -> None:
        """Only these are taken out: a late one ends while others are handled in a thread."""
        self._writing.change(lambda known: known and tuple(path for path in known if path not in done))

    def failed(self, path: Path, error: AgentError) -> _Shown:
        account = self._known[path]
        return ClientFile(account, error=str(error), unexpected=error if isinstance(error, Unexpected) else None)

    def late(self, path: Path) -> _Shown:
        last = self._last.get(path)
        return ClientFile(self._known[path], error=last.error if last is not None else "", is_late=True)

    async def _look_at(self, account: Account, wanted: Wanted, owned: OwnedConfig) -> _Shown:
        """None: there is nothing to keep."""
        right = self._right.get(account.config)
        if right is not None and right.wanted == wanted and right.is_believed() and self._is_still(account):
            return right.shown  # unchanged: an idle pass starts no helper
        self._right.pop(account.config, None)
        try:
            return await self._read_and_plan(account, wanted, owned)
        except TextRefused as error:
            return self._note_refused(account, wanted, error.failed(account.config))
        except HomeSilent:
            raise
        except HomeLocked as error:
            return self._note_right(account, wanted, Skipped(account.name, error.what))
        except HomeClosed as error:  # not even its user can look there: no file is known to exist
            if account.found_by is not FoundBy.HAS_CONFIG:
                return ClientFile(account, error=str(error))
            return self._note_right(account, wanted, None)
        except AgentError as error:  # this file is left alone, and the others go on
            return self._note_refused(account, wanted, error)

    async def _read_and_plan(self, account: Account, wanted: Wanted, owned: OwnedConfig) -> _Shown:
        found = await self._homes.read(account, account.config)
        if found is None and not account.may_create:
            is_asked_for = account.found_by is FoundBy.FILE and wanted is not BACK
            nobodys = Skipped(str(account.config), NOBODYS) if is_asked_for else None
            return self._note_right(account, wanted, nobodys)
        if found is not None and account.found_by is FoundBy.FILE and found.uid != account.uid:
            who = f"belongs to uid {found.uid}, but uid {account.uid} can change the way to it"
            return ClientFile(account, error=f"{account.config}: {who}; left as it is")
        # In a thread: a large file takes long enough to hold up all others.
        asks = (wanted.is_only_here or wanted.elsewhere is not None) and self._policy.clients.scope is Scope.DEFAULT
        here = entries_for(Scope.LOCAL, self._policy.docker.socket)
        is_local = asks and await self._homes.has_other_engine(account, account.config, here)
        text = None if found is None else found.text
        meant, edit, beaten = await in_turn(self._plan, account, text, wanted, owned, is_local=is_local)
        if edit is None:
            until = SYSTEM_CLOCK.boottime_s() + _CONTEXTS_LOOKED_AT_S if asks else math.inf
            shown = ClientFile(account, beaten_by=beaten, is_local=is_local)
            return self._note_right(account, meant, shown, until)
        mode = found.mode if found else None
        return ClientFile(account, edit, beaten_by=beaten, mode=mode, is_local=is_local)

    def _entries(self, wanted: Wanted, *, is_local: bool) -> tuple[str, ...]:
        return entries_for(self._policy.clients.scope, self._policy.docker.socket, wanted, is_local=is_local)

    def _edit(
        self, account: Account, text: str | None, wanted: Wanted, owned: OwnedConfig, *, is_local: bool
    ) -> FileEdit | None:
        edit = plan(text, self._entries(wanted, is_local=is_local), wanted, owned, keyed=self._compared)
        return None if edit is None else told_apart(edit, self._stood_lately(account.config))

    def _stood_lately(self, path: Path) -> tuple[Settings, ...]:
        now = SYSTEM_CLOCK.boottime_s()
        return tuple(stood.settings for stood in self._stood.get(path, ()) if now - stood.at < WITHIN_S)

    def _remember(self, path: Path, edit: FileEdit) -> None:
        now = SYSTEM_CLOCK.boottime_s()
        stood = (*self._stood.get(path, ()), _Stood(now, edit.old), _Stood(now, edit.new))
        self._stood[path] = stood[-_MOST_STOOD:]

    def _plan(
        self, account: Account, text: str | None, wanted: Wanted, owned: OwnedConfig, *, is_local: bool
    ) -> tuple[Wanted, FileEdit | None, str]:
        if account.found_by is FoundBy.HAS_CONFIG and is_made_by_us(text, owned):
            wanted = BACK  # a user who left group docker, with a config.json that only we wrote
        edit = self._edit(account, text, wanted, owned, is_local=is_local)
        if wanted is BACK:
            return wanted, edit, ""
        entries = self._entries(wanted, is_local=is_local)
        return wanted, edit, beaten_by(text, entries, self._policy.docker.socket, wanted=wanted, owned=owned)

    def _note_right(self, account: Account, wanted: Wanted, shown: _Shown, until: float = math.inf) -> _Shown:
        self._right[account.config] = _Right(wanted, shown, until)
        return shown

    def _note_refused(self, account: Account, wanted: Wanted, error: AgentError) -> _Shown:
        """Also counts for a while only: the cause may lie where no event of the file shows that it is gone."""
        shown = ClientFile(account, error=str(error))
        until = SYSTEM_CLOCK.boottime_s() + (self._policy.probe.recheck or _LOOKED_AT_S)
        self._right[account.config] = _Right(wanted, shown, until)
        return shown

    def _is_still(self, account: Account) -> bool:
        return self._homes.is_still(account, account.config, self._policy.probe.recheck or _LOOKED_AT_S)

    async def _write(self, file: ClientFile, wanted: Wanted, owned: OwnedConfig) -> ClientFile:
        """Plan again from the text at the moment of writing: a `docker login` in between loses nothing."""
        made: list[FileEdit] = []

        def change(text: str | None) -> str | None:
            edit = self._edit(account, text, wanted, owned, is_local=file.is_local)
            made[:] = [] if edit is None else [edit]
            return text if edit is None else edit.text

        account, mode = file.account, file.edit.mode if file.edit else None
        try:
            written = await self._homes.edit(
                account,
                account.config,
                change,
                may_create=account.may_create,
                mode=mode,
                folder_was_there=owned.was is None or owned.was.folder_existed,
            )
        except TextRefused as error:
            return ClientFile(account, error=str(error.failed(file.path)))
        except HomeSilent:
            raise
        except AgentError as error:  # this file is left alone, and the others go on
            return ClientFile(account, error=str(error))
        if not made:
            return ClientFile(account)
        self._remember(account.config, made[0])
        return ClientFile(account, made[0], was=owned.was or _was(written))


class _Stood(msgspec.Struct, frozen=True):
    """What a file said before or after one of our writes. It may hold a password."""

    at: float  # CLOCK_BOOTTIME
    settings: Settings

    def __repr__(self) -> str:
        return f"_Stood({self.at})"


def _work(function: Callable[..., Coroutine[Any, Any, _Shown]], *about: object) -> Work[_Shown]:
    return Work((function.__name__, *about), functools.partial(function, *about))


def _meant(file: ClientFile, seen: ClientsSeen) -> Wanted:
    return BACK if file.is_left else seen.wanted


def _was(written: Written) -> Was:
    before = written.before
    return Was(before is not None, before.mode if before else None, not written.made_folder)


def _edits(files: Iterable[ClientFile]) -> list[tuple[ClientFile, FileEdit]]:
    return [(file, file.edit) for file in files if file.edit is not None]


class _Right(msgspec.Struct, frozen=True):
    """A file that needed nothing when it was last read, or could not be read, and what was shown of it."""

    wanted: Wanted
    shown: _Shown
    until: float = math.inf  # of CLOCK_BOOTTIME

    def is_believed(self) -> bool:
        return SYSTEM_CLOCK.boottime_s() < self.until

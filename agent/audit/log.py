"""Appends to the log: one record after the other, each on disk before `append` returns.

The files say where the chain ends: that is read from them, compared with the anchor, and read again if a file has
changed. Anything wrong is reported in the log itself, by a `log-recovered` record before the next one. Nothing in the
log is ever repaired.

Not known here: who may append. The caller holds the agent's lock.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.audit import about_the_log, anchor, files
from agent.audit.about_the_log import DroppedFile, Missed, Recovered, Torn, Trimmed
from agent.audit.anchor import NoAnchor, missed_file
from agent.audit.chain import GENESIS, SCHEMA, Anchor, Entry, sealed
from agent.audit.facts import Plain, of_a_record
from agent.system.clock import EXACT
from agent.system.files import is_there
from agent.system.process_start import boot_id
from agent.values.asker import Asker
from agent.values.errors import AgentError
from agent.values.events import FACTS, Event
from agent.values.policy import Audit
from agent.values.secret import escaped

PARTS: Final = 10  # a file is full at a tenth of max_size, or of keep, so no more than that is deleted at once
# What is too old by the clock is so only if a record of so long ago says so, too.
_CONFIRMED_S: Final = 86400.0
_PARTS_CONFIRMED: Final = 100  # of keep, if that is less
MODE: Final = 0o640
READERS: Final = "adm"  # who may read the system's logs
_GROUPS: Final = Path("/etc/group")


class AuditUnwritable(AgentError):
    """A record could not be written. The pass goes on; the journal has the record."""


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class OfItself(msgspec.Struct, frozen=True):
    """A record that the log has made about itself."""

    event: Event
    facts: Mapping[str, Plain]
    anchor: Anchor


class _About(msgspec.Struct, frozen=True):
    """What the records of one `append` share."""

    trigger: str
    pass_id: str
    by: Asker | None


class _End(msgspec.Struct, frozen=True):
    """Where the log ended when it was looked at."""

    last: Entry | None = None  # None: there is no record at all
    first: Entry | None = None  # of the growing file
    length: tuple[int, int, int] | None = None  # device, inode and size of the growing file; None: not there
    rest: bytes = b""  # what follows `last` and is not a record
    ends_line: bool = True  # whether the growing file ends with a newline
    anchor: Anchor | NoAnchor = NoAnchor.ABSENT

    @property
    def seq(self) -> int:
        return self.last.seq if self.last else 0

    @property
    def hash(self) -> str:
        return self.last.hash if self.last else GENESIS


class AuditLog:
    """Appends to the log at `path`, and keeps the anchor in `state_dir`."""

    def __init__(  # noqa: PLR0913 - what is after the limits is for tests
        self,
        path: Path,
        state_dir: Path,
        keep_s: float = Audit().keep,
        max_bytes: int = Audit().max_size,
        *,
        clock: Callable[[], dt.datetime] = utc_now,
        this_boot: str | None = None,
    ) -> None:
        self.path = path
        self.problem = ""  # what is wrong with where the last record went; '' if nothing is
        self.of_itself: list[OfItself] = []  # for the journal, which is to have every record: who asks empties it
        self.has_lost = False  # records are not in it that were, or could not be written: who asks sets it back
        self.state = state_dir
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._boot_id = boot_id() if this_boot is None else this_boot
        self._end: _End | None = None  # None: to be looked at
        self._missed: Missed | None = None
        # For the next process, if this one cannot say it: the state is often on another disk, or has room for root.
        self._kept_missed = missed_file(state_dir)
        self._has_taken_up = False
        self._is_compared = False  # whether the end was compared with the anchor since we started
        self._readers = _group(READERS) if os.geteuid() == 0 else None  # None: the group that it has by itself
        self._is_given = False  # whether what was there before has that group
        self._may_be_too_much = False  # the first look says more

    @property
    def last_at(self) -> str:
        """When the last record was written, as it says; '' if there is none, or none can be read."""
        try:
            end = self._look()
        except OSError:
            return ""
        return end.last.ts if end.last else ""

    def limit(self, keep_s: float, max_bytes: int) -> None:
        """Set other limits for the next records."""
        self._keep_s, self._max_bytes = keep_s, max_bytes
        self._may_be_too_much = True

    def append(
        self, event: Event, trigger: str, pass_id: str, facts: Mapping[str, Plain], *, by: Asker | None = None
    ) -> Anchor:
        """Write one record to disk. Raises AuditUnwritable."""
        about = _About(trigger, pass_id, by)
        of_the_log = _About(trigger, pass_id, None)  # whoever asks now has not brought that about
        self.problem = ""
        self._take_up()
        try:
            self._give_to_readers()
            self._recover(of_the_log)
            self._rotate()
            self._trim(of_the_log)
            return self._write(event, about, facts)
        except OSError as error:
            raise self._failed(error) from error

    def _take_up(self) -> None:
        """What a process before this one could not write, and did not live to say."""
        if not self._has_taken_up:
            with contextlib.suppress(AgentError):  # not readable: how many is not known
                self._missed = self._kept_missed.load()
        self._has_taken_up = True

    def _failed(self, error: OSError) -> AuditUnwritable:
        why = error.strerror or str(error)
        if self._missed is None:
            self._missed = Missed(1, self._now(), why)
        else:
            self._missed = msgspec.structs.replace(self._missed, records=self._missed.records + 1)
        with contextlib.suppress(AgentError):  # full as well: it is said if this process lives to say it
            self._kept_missed.save(self._missed)
        self.problem = f"{error.filename or self.path}: {why}"
        return AuditUnwritable(str(self.path), f"no record could be written ({why})", "The journal says what happened")

    def _now(self) -> str:
        return self._clock().astimezone(dt.UTC).strftime(EXACT)

    def _give_to_readers(self) -> None:
        """Give existing files to the group adm, at each start: systemd gives LogsDirectory= to root (FACTS 90)."""
        if not self._is_given:
            for file in (self.path.parent, self.path, *files.full_files(self.path)):
                _give(file, self._readers)
        self._is_given = True

    def _look(self) -> _End:
        """The end of the log; read again if the growing file is another one or has another length."""
        length = _length(self.path)
        if self._end is not None and self._end.length == length:
            return self._end
        found = files.Tail() if length is None else files.tail(self.path)
        first = files.first_entry(self.path) if found.last else None
        last = found.last
        for full in reversed(files.full_files(self.path)):
            last = last or files.tail(full).last
        self._end = _End(
            last=last,
            first=first,
            length=length,
            rest=found.rest,
            ends_line=found.ends_line,
            anchor=anchor.read(self.state),
        )
        self._may_be_too_much = True
        return self._end

    def _recover(self, about: _About) -> None:
        """Record what is wrong with the end of the log, if anything is."""
        end = self._look()
        kept, found, absent = None, None, ""
        because = []
        if end.rest:
            because.append("the last line was cut short")
        if isinstance(end.anchor, NoAnchor):
            if end.seq > 0 and not self._is_compared:
                absent = end.anchor.value
                because.append(f"the anchor was {absent}")
        elif not self._agrees(end.anchor, end):
            kept, found = end.anchor, Anchor(end.seq, end.hash)
            what = (
                f"records {end.seq + 1} to {kept.seq} are missing" if kept.seq > end.seq else f"{kept.seq} is another"
            )
            because.append(f"{what}, says the anchor")
        if self._missed is not None:
            because.append(f"{self._missed.records} could not be written since {self._missed.since}")
        if because:
            self.has_lost = self.has_lost or kept is not None or self._missed is not None
            recovered = Recovered(
                because="; ".join(because),
                torn=Torn.of(end.rest) if end.rest else None,
                end=found,
                anchor=kept,
                no_anchor=absent,
                missed=self._missed,
            )
            # No number is used twice, not even that of a lost record.
            seq = max(end.seq, kept.seq if kept else 0) + 1
            self._write_of_itself(recovered, about, seq)
        if self._missed is not None:
            with contextlib.suppress(OSError):  # said twice is better than not at all
                self._kept_missed.path.unlink(missing_ok=True)
        self._missed = None
        self._is_compared = True

    def _agrees(self, kept: Anchor, end: _End) -> bool:
        """Whether the log has the anchored record, or had it before its file was deleted."""
        if kept.seq >= end.seq:
            return kept == Anchor(end.seq, end.hash)
        # The anchor may be older, if it could not be written: look for its record, from the newest file on.
        for file in (self.path, *reversed(files.full_files(self.path))):
            first = files.first_entry(file) if is_there(file) else None
            if first is not None and first.seq <= kept.seq:
                return any(entry.anchor == kept for entry in files.entries(file))
        return True

    def _rotate(self) -> None:
        """Rename the growing file when it is full, or its first record is old."""
        end = self._look()
        if end.first is None or end.length is None:
            return
        is_full = end.length[2] >= self._max_bytes / PARTS
        if not is_full and not self._has_grown_old(end.first):
            return
        name = files.full_name(self.path, end.first.seq)
        try:
            if is_there(name):
                raise FileExistsError(errno.EEXIST, "a full file of that name is there", str(name))
            self.path.rename(name)
            _sync_folder(self.path.parent)
        except OSError as error:  # it then keeps growing: the record matters more
            self.problem = f"{name}: {error.strerror}"
            return
        self._end = msgspec.structs.replace(end, first=None, length=None, ends_line=True)
        self._may_be_too_much = True

    def _trim(self, about: _About) -> None:
        """Record, then delete, the oldest full files that exceed `keep` or `max_size`."""
        if not self._may_be_too_much:
            return
        surplus = self._surplus()
        if surplus:
            dropped = tuple(file.dropped for file in surplus)
            because = " and ".join(sorted({file.because for file in surplus}))
            trimmed = Trimmed(because=because, first=dropped[0].first, last=dropped[-1].last, files=dropped)
            self._write_of_itself(trimmed, about)
            try:
                for file in surplus:  # the oldest first: a crash in between leaves no hole
                    file.path.unlink()
                _sync_folder(self.path.parent)
            except OSError as error:  # tried again with the next full file
                self.problem = f"{error.filename}: {error.strerror}"
        self._may_be_too_much = False

    def _surplus(self) -> list[_Surplus]:
        full = [(path, path.stat().st_size) for path in files.full_files(self.path)]
        total = sum(size for _, size in full)
        allowed = self._max_bytes - self._max_bytes // PARTS  # the growing file has its tenth
        ends = [(file, size, files.first_entry(file), files.tail(file).last) for file, size in full]
        written = [entry for _, _, first, last in ends for entry in (first, last) if entry is not None]
        surplus: list[_Surplus] = []
        for file, size, first, last in ends:
            is_old = last is not None and not surplus and self._is_older(last, self._keep_s, written)
            if total <= allowed and not is_old:
                break
            total -= size
            dropped = DroppedFile(first.seq if first else None, last.seq if last else None, last.hash if last else "")
            surplus.append(_Surplus(file, dropped, "keep" if is_old else "max_size"))
        return surplus

    def _has_grown_old(self, first: Entry) -> bool:
        """Whether the growing file spans its part of `keep`."""
        part_s = self._keep_s / PARTS
        return self._age_s(first) > part_s and self._is_older(first, part_s, files.entries(self.path))

    def _is_older(self, entry: Entry, seconds: float, written: Iterable[Entry]) -> bool:
        """Whether more time than that has passed since a record, as an earlier record says as well.

        A clock that is wrong for a while (a dead battery, a bad answer) must not make the log drop what is young.
        """
        since = dt.datetime.fromisoformat(entry.ts)
        confirmed_s = min(_CONFIRMED_S, self._keep_s / _PARTS_CONFIRMED)
        return any(
            self._age_s(witness) >= confirmed_s
            and (dt.datetime.fromisoformat(witness.ts) - since).total_seconds() > seconds
            for witness in written
        )

    def _age_s(self, entry: Entry) -> float:
        return (self._clock() - dt.datetime.fromisoformat(entry.ts)).total_seconds()

    def _write_of_itself(self, said: Recovered | Trimmed, about: _About, seq: int | None = None) -> None:
        facts = about_the_log.facts(said)
        self.of_itself.append(OfItself(said.event, facts, self._write(said.event, about, facts, seq)))

    def _write(self, event: Event, about: _About, facts: Mapping[str, Plain], seq: int | None = None) -> Anchor:
        end = self._look()
        entry = Entry(
            v=SCHEMA,
            ts=self._now(),
            seq=end.seq + 1 if seq is None else seq,
            host=escaped(os.uname().nodename),
            boot_id=self._boot_id,
            pass_id=about.pass_id,
            event=event.value,
            severity=FACTS[event].severity.value,
            trigger=about.trigger,
            by=None if about.by is None else of_a_record(msgspec.to_builtins(about.by)),
            facts=dict(facts),
            prev=end.hash,
        )
        line, written = sealed(entry)
        length = _append(self.path, line if end.ends_line else b"\n" + line, self._readers)
        entry = msgspec.structs.replace(entry, hash=written.hash)
        self._end = _End(entry, end.first or entry, length, anchor=written)
        try:
            anchor.write(self.state, written)
        except AgentError as error:  # the record itself is on disk; `verify` has one anchor less
            self.problem = f"{error.where}: {error.what}"
        return written


class _Surplus(msgspec.Struct, frozen=True):
    """A full file that may go, and which of the limits says so."""

    path: Path
    dropped: DroppedFile
    because: str


def _length(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return (stat.st_dev, stat.st_ino, stat.st_size)


def _append(path: Path, line: bytes, readers: int | None) -> tuple[int, int, int]:
    """The line is on disk, and its file there to stay; what the file is like afterwards."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    # O_NONBLOCK: at a named pipe it fails, and does not wait for a reader.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor, is_new = os.open(path, flags | os.O_EXCL, MODE), True
    except FileExistsError:
        descriptor, is_new = os.open(path, flags, MODE), False
    try:
        if is_new:
            os.fchmod(descriptor, MODE)  # whatever the umask
            for one in (path.parent, descriptor):
                _give(one, readers)
        while line:
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
        stat = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)
    return (stat.st_dev, stat.st_ino, stat.st_size)


def _give(file: Path | int, readers: int | None) -> None:
    if readers is not None:
        with contextlib.suppress(OSError):  # a record is worth more than who may read it
            os.chown(file, -1, readers)


def _group(name: str) -> int | None:
    """By the file alone: who else may know of groups may be asked over the network, and this one is the system's."""
    with contextlib.suppress(OSError):
        for line in _GROUPS.read_bytes().split(b"\n"):
            words = line.split(b":")
            if len(words) > 2 and words[0] == name.encode() and words[2].isdigit():
                return int(words[2])
    return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

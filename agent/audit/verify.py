"""Checks that the log is as it was written, from the oldest record to the newest.

The chain finds what was edited, removed, inserted or moved. The anchors find what was cut off the end, and a log that
was rewritten from some record on. What the log says about itself counts only if the chain confirms it: a line that was
cut short if `log-recovered` has its hash, a missing beginning if `log-trimmed` deleted it. Missing records stay
missing, even if the agent noticed and recorded it. That records are missing, and that one was altered, are
two findings: what stands after a gap is checked, too.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.audit import anchor, files
from agent.audit.about_the_log import Recovered, Torn, Trimmed, said
from agent.audit.chain import GENESIS, Anchor, Entry
from agent.audit.files import Line
from agent.values.errors import AgentError

_MOST_GAPS: Final = 100  # that are told


class Source(enum.Enum):
    """Where else the end of the chain is kept."""

    STATE = "state directory"
    JOURNAL = "journal"
    GIVEN = "anchor that was given"  # by whoever asks: kept on another machine


class Broken(msgspec.Struct, frozen=True):
    """A place where records are missing, or one is not as it was written."""

    seq: int
    what: str
    file: str = ""
    line: int = 0
    last: int = 0  # of the records that are missing, from `seq` on; 0: none is, and what is there was altered

    def __str__(self) -> str:
        where = f" ({self.file}, line {self.line})" if self.file else ""
        if not self.last:
            return f"record {self.seq}: {self.what}{where}"
        records = f"record {self.seq} is" if self.seq == self.last else f"records {self.seq} to {self.last} are"
        return f"{records} {self.what}{where}"

    def has(self, seq: int) -> bool:
        return self.seq <= seq <= self.last


class Compared(msgspec.Struct, frozen=True):
    """The anchors of one source, without those whose records were deleted."""

    source: Source
    anchors: int
    newest: int = 0  # seq

    def __str__(self) -> str:
        if not self.anchors:
            return f"{self.source.value}: none"
        anchors = "1 anchor" if self.anchors == 1 else f"{self.anchors} anchors, the newest"
        return f"{self.source.value}: {anchors} of record {self.newest}"


class Verification(msgspec.Struct, frozen=True):
    """What was found."""

    records: int
    first: int | None  # seq of the oldest and the newest record that are there
    last: int | None
    broken: Broken | None  # the first place of both kinds
    compared: tuple[Compared, ...]
    notes: tuple[str, ...]  # what the log says about itself, and what could not be checked
    end: Anchor | None = None  # of the newest record: who keeps it elsewhere can give it later
    altered: Broken | None = None  # the first place; what comes after it may be so because of it
    missing: tuple[Broken, ...] = ()  # in their order; what is after them was checked all the same

    @property
    def is_whole(self) -> bool:
        return self.broken is None


def verify(
    path: Path,
    state_dir: Path,
    in_journal: Sequence[Sequence[Anchor]] | None = None,
    given: Sequence[Anchor] = (),
) -> Verification:
    """Check every record. `in_journal`: one list per log, the last one not ended. OSError if it cannot be read."""
    # Read the anchors first: the agent may be writing, and a log may be longer than its anchor, but not shorter.
    notes = []
    kept = anchor.read(state_dir)
    anchors: dict[Source, Iterable[Anchor]] = {}
    if isinstance(kept, Anchor):
        anchors[Source.STATE] = (kept,)
    else:
        notes.append(f"the anchor in the state directory is {kept.value}")
    if in_journal is not None:
        anchors[Source.JOURNAL] = tuple(one for log in in_journal for one in log)
    else:
        notes.append("the journal was not read")
    with contextlib.suppress(AgentError):  # damaged: how many is not known
        if missed := anchor.missed_file(state_dir).load():
            notes.append(f"{missed.records} could not be written since {missed.since}, and no record says so yet")
    if given:
        anchors[Source.GIVEN] = given
    walk = _Walk(anchors)
    for line in files.lines(path):
        walk.pass_over(line)
    if in_journal is not None:
        notes += walk.forget_ended(in_journal)
    walk.arrive()
    missing = tuple(sorted(walk.missing, key=lambda one: one.seq))
    places = [*missing, *([walk.altered] if walk.altered else [])]
    return Verification(
        records=walk.records,
        first=walk.first.seq if walk.first else None,
        last=walk.last.seq if walk.last else None,
        broken=min(places, key=lambda one: one.seq, default=None),
        compared=tuple(walk.compared(source) for source in anchors),
        notes=(*walk.notes, *notes, *walk.not_compared(given)),
        end=walk.last.anchor if walk.last else None,
        altered=walk.altered,
        missing=missing,
    )


class _Walk:
    """One way along the log."""

    def __init__(self, anchors: Mapping[Source, Iterable[Anchor]]) -> None:
        self.records = 0
        self.first: Entry | None = None
        self.last: Entry | None = None
        self.altered: Broken | None = None
        self.missing: list[Broken] = []
        self.notes: list[str] = []
        self._anchors = {source: tuple(of_source) for source, of_source in anchors.items()}
        self._wanted = {one.seq for of_source in self._anchors.values() for one in of_source}
        self._hashes: dict[int, str] = {}  # of the records that are anchored
        self._no_records: list[Line] = []  # since the last record
        self._dropped: set[tuple[int | None, str]] = set()  # seq and hash of the last records of dropped files

    def pass_over(self, line: Line) -> None:
        entry = line.opened()
        if entry is None:
            self._no_records.append(line)
            return
        if self.altered is None:  # what comes after it may be so because of it
            self._look_at_the_lines_before(entry)
            self._look_at_the_order(entry, line)
        self._no_records = []
        self._listen_to(entry, line)
        self.first = self.first or entry
        self.last = entry
        self.records += 1
        if entry.seq in self._wanted:
            self._hashes.setdefault(entry.seq, entry.hash)

    def _look_at_the_order(self, entry: Entry, line: Line) -> None:
        if self.last is None:
            return
        expected = self.last.seq + 1
        if entry.seq > expected:
            self._misses(expected, entry.seq - 1, "missing", line)
        elif gap := next((gap for gap in self.missing if gap.has(entry.seq)), None):  # it was not missing, but moved
            self.missing.remove(gap)
            self._alters(gap.seq, f"is out of place: record {gap.last + 1} is there", line)
        elif entry.seq < expected:
            self._alters(expected, f"is out of place: record {entry.seq} is there", line)
        elif entry.prev != self.last.hash:
            self._alters(entry.seq, "does not continue the record before it", line)

    def _look_at_the_lines_before(self, entry: Entry) -> None:
        found = self._no_records
        if not found:
            return
        if _is_said(found, entry):
            self.notes.append(f"a line before record {entry.seq} was cut short, as that says")
            return
        seq = self.last.seq + 1 if self.last else max(1, entry.seq - len(found))
        self._alters(seq, "is not as it was written", found[0])

    def _listen_to(self, entry: Entry, line: Line) -> None:
        """Note what the log says about itself."""
        if trimmed := said(Trimmed, entry):
            self._dropped |= {(file.last, file.hash) for file in trimmed.files}
            self.notes.append(f"records up to {trimmed.last} were dropped ({trimmed.because}), says record {entry.seq}")
        if recovered := said(Recovered, entry):
            if recovered.missed:
                self.notes.append(f"{recovered.missed.records} could not be written, says record {entry.seq}")
            if recovered.no_anchor:
                hint = ", as after an uninstall" if recovered.no_anchor == anchor.NoAnchor.ABSENT.value else ""
                self.notes.append(f"the anchor was {recovered.no_anchor}{hint}, says record {entry.seq}")
            if recovered.anchor and recovered.end:
                kept, end = recovered.anchor.seq, recovered.end.seq
                if kept > end:
                    self._misses(end + 1, kept, f"missing, says record {entry.seq}", line)
                else:
                    self._alters(kept, f"is not the one that was written, says record {entry.seq}", line)

    def _alters(self, seq: int, what: str, line: Line | None = None) -> None:
        """Only the first place is reported."""
        if self.altered is None or seq < self.altered.seq:
            self.altered = Broken(seq, what, str(line.file), line.number) if line else Broken(seq, what)

    def _misses(self, seq: int, last: int, what: str, line: Line | None = None) -> None:
        """Records that are known to be missing are told once, and those after an altered one not at all."""
        if self.altered is not None and self.altered.seq <= seq:
            return
        if len(self.missing) < _MOST_GAPS and not any(gap.has(seq) and gap.has(last) for gap in self.missing):
            where = (str(line.file), line.number) if line else ("", 0)
            self.missing.append(Broken(seq, what, *where, last=last))

    def forget_ended(self, logs: Sequence[Sequence[Anchor]]) -> list[str]:
        """Drop the anchors of logs that were ended before this one. Returns notes."""
        known = [any(self._hashes.get(one.seq) == one.hash for one in log) for log in logs]
        begins = known.index(True) if True in known else len(logs) - 1
        ended = [one for log in logs[:begins] for one in log]
        self._anchors[Source.JOURNAL] = tuple(one for log in logs[begins:] for one in log)
        return [f"the journal knows {len(ended)} records of a log that ended before this one"] if ended else []

    def arrive(self) -> None:
        if self.altered is None:
            self._look_at_the_end()
        self._look_at_the_beginning()
        first = self.first.seq if self.first else 1
        for source, of_source in self._anchors.items():
            for one in of_source:
                is_gone = any(gap.has(one.seq) for gap in self.missing)
                if one.seq >= first and not is_gone and self._hashes.get(one.seq) != one.hash:
                    self._alters(one.seq, f"is not the one that the {source.value} knows")

    def _look_at_the_end(self) -> None:
        end = self.last.seq if self.last else 0
        newest, source = max(
            ((one.seq, source.value) for source, of_source in self._anchors.items() for one in of_source),
            default=(0, ""),
        )
        if self._no_records and (newest > end or not _may_be_torn(self._no_records)):
            self._alters(end + 1, "is not as it was written", self._no_records[0])
        elif self._no_records:
            self.notes.append(f"a line after record {end} is cut short; the agent's next record will say so")
        elif newest > end:
            what = "cut off" if self.records else "gone with the whole log"
            self._misses(end + 1, newest, f"{what}, says the {source}")

    def _look_at_the_beginning(self) -> None:
        if self.first is None:
            return
        before = self.first.seq - 1
        if before == 0 and self.first.prev != GENESIS:
            self._alters(1, "does not begin the log")
        elif before > 0 and (before, self.first.prev) not in self._dropped:
            honest = max((seq for seq, _ in self._dropped if seq is not None and seq < before), default=0)
            self._misses(honest + 1, before, "missing, and no record says that they were dropped")

    def not_compared(self, given: Sequence[Anchor]) -> list[str]:
        first = self.first.seq if self.first else 1
        gone = {one.seq: any(gap.has(one.seq) for gap in self.missing) for one in given}
        return [
            f"record {seq} {'is missing' if is_missing else 'was dropped'}: its anchor cannot be checked"
            for seq, is_missing in gone.items()
            if is_missing or seq < first
        ]

    def compared(self, source: Source) -> Compared:
        """By the anchors of our own it is known what is missing; one that was given for it says nothing more."""
        first = self.first.seq if self.first else 1
        gaps = self.missing if source is Source.GIVEN else []
        seqs = [
            one.seq for one in self._anchors[source] if one.seq >= first and not any(gap.has(one.seq) for gap in gaps)
        ]
        return Compared(source, len(seqs), max(seqs, default=0))


def _is_said(found: list[Line], entry: Entry) -> bool:
    """Whether a `log-recovered` explains these lines, and they could be what it says."""
    recovered = said(Recovered, entry)
    if recovered is None or recovered.torn is None or not _may_be_torn(found):
        return False
    standing = b"".join(line.raw for line in found)
    # The agent ended the last one with a newline before it wrote on.
    return recovered.torn in (Torn.of(standing), Torn.of(standing.removesuffix(b"\n")))


def _may_be_torn(found: list[Line]) -> bool:
    """A complete record with a wrong hash was not cut short, but forged."""
    return all(line.decoded() is None for line in found)

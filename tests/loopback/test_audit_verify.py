"""`audit verify`: every tampering is found and named by its seq, and an honest log never accused."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.audit.chain import Anchor, Entry, decoded, opened, sealed
from agent.audit.log import AuditLog, AuditUnwritable
from agent.audit.verify import Source, Verification, verify
from agent.values.events import Event
from tests.in_memory import in_memory
from tests.share import fewer


class Log:
    """A log on disk, and who tampers with it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "log" / "audit.jsonl"
        self.state = root / "state"
        self.anchors: list[Anchor] = []
        self._now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

    def write(self, facts: list[dict[str, str]], max_bytes: int = 100_000_000) -> None:
        log = AuditLog(self.path, self.state, 1e9, max_bytes, clock=lambda: self._now, this_boot="b")
        self.anchors += [log.append(Event.SETTINGS_WRITTEN, "timer", "1", fact) for fact in facts]

    @property
    def lines(self) -> list[bytes]:
        """The records of the growing file; number i is record i + 1 as long as nothing was rotated."""
        return self.path.read_bytes().splitlines(keepends=True)

    @lines.setter
    def lines(self, lines: list[bytes]) -> None:
        self.path.write_bytes(b"".join(lines))

    @property
    def full(self) -> list[Path]:
        return sorted(self.path.parent.glob("audit-*.jsonl"))

    def resealed(self, change: Callable[[Entry], Entry], index: int) -> bytes:
        entry = opened(self.lines[index].rstrip(b"\n"))
        assert entry is not None
        return sealed(change(entry))[0]

    def verified(self, journal: list[Anchor] | None = None) -> Verification:
        return verify(self.path, self.state, None if journal is None else [journal])

    def broken_at(self, journal: list[Anchor] | None = None) -> int | None:
        found = self.verified(journal)
        return found.broken.seq if found.broken else None


@contextmanager
def a_log(facts: list[dict[str, str]] | int, max_bytes: int = 100_000_000) -> Iterator[Log]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as root:
        log = Log(Path(root))
        log.write([{"n": str(n)} for n in range(facts)] if isinstance(facts, int) else facts, max_bytes)
        yield log


FACTS = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3), min_size=1, max_size=8)
few = settings(deadline=None, max_examples=fewer(80), suppress_health_check=[HealthCheck.too_slow])


# Nothing was done to it.


@few
@given(facts=FACTS, restarts=st.lists(FACTS, max_size=3), max_bytes=st.sampled_from([1, 1000, 3000, 9000, 10**8]))
def test_an_honest_log_is_whole_whatever_was_rotated_and_dropped(
    facts: list[dict[str, str]], restarts: list[list[dict[str, str]]], max_bytes: int
) -> None:
    with a_log(facts, max_bytes) as log:
        for more in restarts:
            log.write(more, max_bytes)

        found = log.verified(log.anchors)

        assert found.is_whole, str(found.broken)
        assert found.last == log.anchors[-1].seq


@few
@given(data=st.data(), facts=FACTS)
def test_a_log_torn_by_crashes_is_whole(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        for _ in range(data.draw(st.integers(1, 3), label="crashes")):
            anchor, before = (log.state / "anchors.json").read_bytes(), log.path.read_bytes()
            log.write([{"torn": "yes"}])
            line = log.path.read_bytes()[len(before) :]
            left = data.draw(st.integers(0, len(line)), label="bytes left")
            log.path.write_bytes(before + line[:left])
            if left < len(line) - 1:
                (log.state / "anchors.json").write_bytes(anchor)
            assert log.verified().is_whole
        log.write(facts)

        found = log.verified()

        assert found.is_whole, str(found.broken)


def test_a_log_that_is_not_there_yet_is_whole(tmp_path: Path) -> None:
    found = Log(tmp_path).verified([])

    assert (found.is_whole, found.records, found.first, found.last) == (True, 0, None, None)


# Somebody was there.


def test_that_records_are_missing_hides_no_other_that_was_altered(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write([{"n": str(n)} for n in range(9)])
    lines = log.lines
    log.lines = [*lines[:1], *lines[3:4], *lines[5:]]
    found = log.verified()

    assert [str(one).partition(" (")[0] for one in found.missing] == [
        "records 2 to 3 are missing",
        "record 5 is missing",
    ]
    assert (found.altered, found.broken) == (None, found.missing[0])

    seventh = decoded(lines[6])
    assert seventh is not None
    forged = sealed(msgspec.structs.replace(seventh, facts={"n": "another"}))[0]
    log.lines = [*lines[:1], *lines[3:4], lines[5], forged, *lines[7:]]
    found = log.verified()

    assert [one.seq for one in found.missing] == [2, 5]
    assert str(found.altered).startswith("record 8: does not continue the record before it")


def test_an_anchor_of_a_record_that_is_missing_is_compared_with_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write([{}] * 5)
    log.lines = log.lines[3:]

    found = verify(log.path, log.state, given=[log.anchors[2]])

    assert "record 3 is missing: its anchor cannot be checked" in found.notes
    assert [one.anchors for one in found.compared if one.source is Source.GIVEN] == [0]


@few
@given(data=st.data(), facts=FACTS)
def test_a_changed_byte_is_found(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        lines = log.lines
        index = data.draw(st.integers(0, len(lines) - 1), label="record")
        at = data.draw(st.integers(0, len(lines[index]) - 1), label="byte")
        byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[index][at]), label="becomes")
        lines[index] = lines[index][:at] + bytes([byte]) + lines[index][at + 1 :]
        log.lines = lines

        assert log.broken_at() == index + 1


@few
@given(data=st.data(), facts=FACTS.filter(lambda facts: len(facts) > 1))
def test_a_removed_record_is_found(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        lines = log.lines
        index = data.draw(st.integers(0, len(lines) - 1), label="record")
        log.lines = lines[:index] + lines[index + 1 :]

        assert log.broken_at() == index + 1


@few
@given(data=st.data(), facts=FACTS.filter(lambda facts: len(facts) > 1))
def test_two_records_that_changed_places_are_found(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        lines = log.lines
        one, other = sorted(
            data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True), label="records")
        )
        lines[one], lines[other] = lines[other], lines[one]
        log.lines = lines

        assert log.broken_at() == one + 1


@few
@given(data=st.data(), facts=FACTS)
def test_a_record_put_in_a_second_time_is_found(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        lines = log.lines
        index = data.draw(st.integers(0, len(lines) - 1), label="record")
        at = data.draw(st.integers(index + 1, len(lines)), label="put in before")
        log.lines = [*lines[:at], lines[index], *lines[at:]]

        assert log.broken_at() == at + 1


@few
@given(data=st.data(), facts=FACTS)
def test_a_cut_end_is_found(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        whole = log.path.read_bytes()
        left = data.draw(st.integers(0, len(whole) - 2), label="bytes left")
        log.path.write_bytes(whole[:left])
        # A record that lost its newline and nothing else is still there.
        expected = whole[: left + 1].count(b"\n") + 1

        assert log.broken_at() == expected


@few
@given(data=st.data(), facts=FACTS)
def test_a_record_sealed_again_after_a_change_is_found(data: st.DataObject, facts: list[dict[str, str]]) -> None:
    with a_log(facts) as log:
        lines = log.lines
        index = data.draw(st.integers(0, len(lines) - 1), label="record")
        lines[index] = log.resealed(lambda entry: msgspec.structs.replace(entry, trigger="nobody"), index)
        log.lines = lines

        # The record that follows does not fit any more, or for the last one the anchor.
        assert log.broken_at() == min(index + 2, len(lines))


def test_a_chain_written_anew_from_some_record_on_is_found_by_each_anchor() -> None:
    with a_log(6) as log:
        kept = (log.state / "anchors.json").read_bytes()
        log.lines = log.lines[:3]
        (log.state / "anchors.json").unlink()
        log.write([{"forged": "yes"}] * 2)
        forged = (log.state / "anchors.json").read_bytes()

        assert log.broken_at(log.anchors[:6]) == 4  # who forged the state directory, too, has left the journal
        (log.state / "anchors.json").write_bytes(kept)
        assert log.broken_at() == 6
        (log.state / "anchors.json").write_bytes(forged)
        found = log.verified()
        assert found.is_whole  # no anchor is left that knows better, and it says how few it had:
        assert "the journal was not read" in found.notes
        assert "the anchor was absent, as after an uninstall, says record 4" in found.notes


def test_what_is_cut_while_the_agent_runs_on_stays_broken() -> None:
    with a_log(6) as log:
        log.lines = log.lines[:4]
        log.write([{"later": "yes"}] * 3)

        assert log.broken_at() == 5


def test_an_edited_last_record_is_not_taken_for_a_torn_line() -> None:
    with a_log(4) as log:
        lines = log.lines
        log.lines = [*lines[:3], lines[3].replace(b"timer", b"never")]
        (log.state / "anchors.json").unlink()  # so that the agent finds nothing but a line that is no record
        log.write([{"later": "yes"}])

        assert log.broken_at() == 4


def test_a_torn_line_cannot_be_changed_either() -> None:
    with a_log(2) as log, log.path.open("ab") as stream:
        stream.write(b'{"ts":"2026-0')
        stream.flush()
        log.write([{"later": "yes"}])
        assert log.verified().is_whole
        lines = log.lines
        assert lines[2] == b'{"ts":"2026-0\n'

        log.lines = [*lines[:2], b'{"ts":"2027-0\n', *lines[3:]]
        assert log.broken_at() == 3

        log.lines = [*lines[:2], *lines[3:]]
        assert log.verified().notes  # a torn line that is gone was no record


@pytest.mark.parametrize("line", [b"\n", b"x\n", b"{}\n", b'{"seq":3}\n', b"\xff\x00\n", b"[" * 100_000 + b"\n"])
def test_lines_that_are_no_records_are_found_in_the_middle(line: bytes) -> None:
    with a_log(4) as log:
        lines = log.lines
        log.lines = [*lines[:2], line, *lines[2:]]

        assert log.broken_at() == 3


# Full files.


def rotated(log: Log) -> list[Path]:
    assert len(log.full) > 4
    assert log.verified().is_whole
    return log.full


def first_seq(file: Path) -> int:
    entry = opened(file.read_bytes().splitlines()[0])
    assert entry is not None
    return entry.seq


def test_a_removed_oldest_file_is_no_honest_drop() -> None:
    with a_log(60, max_bytes=20_000) as log:
        rotated(log)[0].unlink()

        assert log.broken_at() == 1


def test_a_further_file_removed_behind_an_honest_drop_is_found() -> None:
    with a_log(100, max_bytes=20_000) as log:
        files = rotated(log)
        seq = first_seq(files[0])
        assert seq > 1
        files[0].unlink()

        assert log.broken_at() == seq


def test_a_removed_middle_file_is_found() -> None:
    with a_log(60, max_bytes=20_000) as log:
        files = rotated(log)
        seq = first_seq(files[2])
        files[2].unlink()

        assert log.broken_at() == seq


def test_files_that_changed_places_are_found() -> None:
    with a_log(60, max_bytes=20_000) as log:
        files = rotated(log)
        one, other = files[1].read_bytes(), files[2].read_bytes()
        seq = first_seq(files[1])
        files[1].write_bytes(other)
        files[2].write_bytes(one)

        assert log.broken_at() == seq


def test_a_changed_record_in_a_full_file_is_named_with_its_file_and_line() -> None:
    with a_log(60, max_bytes=20_000) as log:
        file = rotated(log)[1]
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join([lines[0], lines[1].replace(b"timer", b"timed"), *lines[2:]]))

        broken = log.verified().broken
        assert broken is not None
        assert str(broken) == f"record {first_seq(file) + 1}: is not as it was written ({file}, line 2)"


def test_a_dropped_file_that_comes_back_is_found() -> None:
    with a_log(60, max_bytes=20_000) as log:
        old, content = log.full[0], log.full[0].read_bytes()
        log.write([{}] * 60, max_bytes=20_000)
        assert not old.exists()
        old.write_bytes(content)

        assert log.broken_at() is not None


def test_anchors_of_records_that_were_dropped_do_not_count() -> None:
    with a_log(100, max_bytes=20_000) as log:
        found = log.verified(log.anchors)

        assert found.is_whole
        state, journal = found.compared
        assert (state.anchors, state.newest) == (1, found.last)
        assert found.first is not None
        assert found.last is not None
        assert 0 < journal.anchors <= found.last - found.first + 1
        assert journal.newest == found.last


def test_a_journal_that_knows_another_record_is_believed() -> None:
    with a_log(5) as log:
        other = "5" * 64

        assert log.broken_at([*log.anchors[:2], Anchor(3, other)]) == 3
        assert log.broken_at([Anchor(6, other)]) == 6


# A log that is gone.


def is_gone(log: Log) -> None:
    """With all that is kept of its end beside it."""
    log.path.unlink()
    (log.state / "anchors.json").unlink()


def whole(log: Log, *journal: list[Anchor]) -> str:
    """What is broken, if anything is, by a journal that has these logs."""
    return str(verify(log.path, log.state, journal).broken or "")


def test_a_log_that_is_gone_with_its_anchor_is_missed_by_the_journal() -> None:
    with a_log(5) as log:
        is_gone(log)

        assert whole(log, log.anchors) == "records 1 to 5 are gone with the whole log, says the journal"
        assert whole(log, log.anchors[:3]) == "records 1 to 3 are gone with the whole log, says the journal"
        (journal,) = verify(log.path, log.state, [log.anchors]).compared
        assert str(journal) == "journal: 5 anchors, the newest of record 5"  # it is by them that they are missed


@pytest.mark.parametrize("records", [1, 5, 9])
def test_and_a_new_one_in_its_place_is_no_excuse(records: int) -> None:
    with a_log(5) as log:
        is_gone(log)
        log.write([{"later": "yes"}] * records)

        assert whole(log, log.anchors).startswith(("record 1: ", "records 1 to "))


def test_one_that_ended_in_good_order_is_missed_by_nobody() -> None:
    with a_log(5) as log:
        before = list(log.anchors)
        assert whole(log, before, []) == ""  # it may go, and need not

        is_gone(log)
        assert whole(log, before, []) == ""
        log.write([{"later": "yes"}] * 3)
        now = log.anchors[5:]

        assert whole(log, before, now) == ""
        notes = verify(log.path, log.state, (before, now)).notes
        assert "the journal knows 5 records of a log that ended before this one" in notes
        is_gone(log)
        assert whole(log, before, now) == "records 1 to 3 are gone with the whole log, says the journal"


def test_one_that_goes_on_after_an_end_is_looked_at_from_its_beginning() -> None:
    """`uninstall` leaves the log, and `install` goes on with it."""
    with a_log(5) as log:
        before = list(log.anchors)
        (log.state / "anchors.json").unlink()
        log.write([{"later": "yes"}] * 3)
        assert whole(log, before, log.anchors[5:]) == ""

        log.lines = log.lines[:3]

        assert whole(log, before, []) == "records 4 to 9 are cut off, says the state directory"
        (log.state / "anchors.json").unlink()
        assert whole(log, before, []) == "records 4 to 5 are cut off, says the journal"


@pytest.mark.parametrize("name", ["audit.jsonl", "audit-0000000001.jsonl"])
def test_a_named_pipe_in_its_place_holds_nobody_up(tmp_path: Path, name: str) -> None:
    log = Log(tmp_path)
    log.path.parent.mkdir()
    os.mkfifo(log.path.with_name(name))

    with pytest.raises(OSError, match="a named pipe is there"):
        verify(log.path, log.state)


def test_nor_the_agent_that_writes_there(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.path.parent.mkdir()
    os.mkfifo(log.path)

    with pytest.raises(AuditUnwritable, match=r"audit\.jsonl"):
        log.write([{"a": "b"}])


def test_an_anchor_that_is_given_finds_an_end_that_was_cut_off(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write([{}] * 3)
    (log.state / "anchors.json").unlink()
    log.lines = log.lines[:2]

    assert verify(log.path, log.state).is_whole
    broken = verify(log.path, log.state, given=log.anchors[2:]).broken
    assert str(broken) == "record 3 is cut off, says the anchor that was given"


def test_an_anchor_of_a_record_that_was_dropped_proves_nothing_and_that_is_said(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write([{"because": "x" * 300}] * 60, max_bytes=10_000)

    found = verify(log.path, log.state, given=[log.anchors[0], log.anchors[-1]])

    assert found.is_whole
    assert "record 1 was dropped: its anchor cannot be checked" in found.notes
    assert [(one.anchors, one.newest) for one in found.compared if one.source is Source.GIVEN] == [
        (1, log.anchors[-1].seq)
    ]
    assert found.end == log.anchors[-1]

"""The audit log on a real disk: what stands there after each append, and after everything that can go wrong."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.audit.chain import GENESIS, Anchor, Entry, sealed
from agent.audit.log import AuditLog, AuditUnwritable
from agent.audit.verify import Verification, verify
from agent.values.asker import Asker, Via
from agent.values.events import Event

DAY = 86400.0


class Laptop:
    """A place for a log, a clock, and agents that start there one after the other."""

    def __init__(self, root: Path) -> None:
        self.path = root / "log" / "audit.jsonl"
        self.state = root / "state"
        self.now = dt.datetime(2026, 3, 1, 9, 12, 4, 250, tzinfo=dt.UTC)

    def agent(self, keep_s: float = 400 * DAY, max_bytes: int = 100_000_000) -> AuditLog:
        return AuditLog(self.path, self.state, keep_s, max_bytes, clock=lambda: self.now, this_boot="boot-1")

    @property
    def files(self) -> list[Path]:
        return sorted(self.path.parent.glob("audit-*.jsonl")) + ([self.path] if self.path.exists() else [])

    def text(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.files)

    def records(self) -> list[dict[str, Any]]:
        """Those lines that are JSON at all."""
        found = []
        for line in self.text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def events(self) -> list[str]:
        return [record["event"] for record in self.records()]

    def verified(self) -> Verification:
        return verify(self.path, self.state)

    def anchor(self) -> dict[str, Any]:
        anchor: dict[str, Any] = json.loads((self.state / "anchors.json").read_text())
        return anchor


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def write(log: AuditLog, count: int = 1, event: Event = Event.SETTINGS_WRITTEN) -> Anchor:
    for _ in range(count):
        anchor = log.append(event, "netlink", "p1", {"target": "daemon.json"})
    return anchor


# One record.


def test_a_record_has_what_a_reader_needs_in_a_fixed_order(laptop: Laptop) -> None:
    laptop.agent().append(
        Event.OFFLINE, "netlink", "p7", {"was": "office"}, by=Asker(Via.CONTROL, uid=0, login_uid=1000, claimed="alice")
    )
    laptop.agent().append(Event.GAVE_UP, "timer", "p8", {})

    [record, of_nobody] = laptop.records()
    order = ["v", "ts", "seq", "host", "boot_id", "pass", "event", "severity", "trigger", "by", "facts", "prev", "hash"]
    assert list(record) == order
    assert {name: record[name] for name in order[:-1]} == {
        "v": 2,
        "ts": "2026-03-01T09:12:04.000250Z",
        "seq": 1,
        "host": os.uname().nodename,
        "boot_id": "boot-1",
        "pass": "p7",
        "event": "offline",
        "severity": "info",
        "trigger": "netlink",
        "by": {"via": "control", "uid": 0, "login_uid": 1000, "claimed": "alice"},
        "facts": {"was": "office"},
        "prev": GENESIS,
    }
    assert list(of_nobody) == [name for name in order if name != "by"]
    assert of_nobody["severity"] == "err"


def test_whatever_is_claimed_is_bounded_redacted_and_costs_no_record(laptop: Laptop) -> None:
    claimed = "\ud800\x1b[2J http://u:hunter2@h " + "x" * 100_000
    laptop.agent().append(Event.OFFLINE, "t", "p", {}, by=Asker(Via.CONTROL, uid=0, claimed=claimed))

    (record,) = laptop.records()
    assert record["by"]["via"] == "control"
    assert record["by"]["claimed"].startswith("\\ud800\\x1b[2J http://•••@h x")
    assert len(record["by"]["claimed"]) < 5000


def test_a_record_of_before_there_were_versions_is_read_and_continued(laptop: Laptop) -> None:
    old = Entry(
        ts="2026-01-01T09:00:00.000000Z", seq=1, boot_id="b", pass_id="", event="x", trigger="t", facts={}, prev=GENESIS
    )
    line, anchored = sealed(old)
    assert b'"v"' not in line
    laptop.path.parent.mkdir(parents=True)
    laptop.path.write_bytes(line)

    laptop.agent().append(Event.OFFLINE, "netlink", "p7", {"was": None})

    assert laptop.records()[1]["prev"] == anchored.hash  # it says that there was no anchor
    assert verify(laptop.path, laptop.state).is_whole


def test_each_hash_is_of_the_very_bytes_and_chained(laptop: Laptop) -> None:
    write(laptop.agent(), 3)

    before = GENESIS
    for line in laptop.text().splitlines():
        body, seal = re.fullmatch(rb'(.*),"hash":"([0-9a-f]{64})"\}', line).groups()  # type: ignore[union-attr]
        assert hashlib.sha256(body + b"}").hexdigest() == seal.decode()
        assert json.loads(line)["prev"] == before
        before = seal.decode()


def test_the_end_is_returned_and_kept_in_the_state_directory(laptop: Laptop) -> None:
    anchor = write(laptop.agent(), 3)

    last = laptop.records()[-1]
    assert (anchor.seq, anchor.hash) == (last["seq"], last["hash"]) == (3, last["hash"])
    assert laptop.anchor() == {"format": 1, "seq": 3, "hash": last["hash"]}


@pytest.mark.parametrize("mask", [0, 0o077])
def test_only_root_and_its_group_may_read(laptop: Laptop, mask: int) -> None:
    umask = os.umask(mask)
    try:
        write(laptop.agent())
    finally:
        os.umask(umask)

    assert stat.S_IMODE(laptop.path.stat().st_mode) == 0o640
    assert stat.S_IMODE((laptop.state / "anchors.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(laptop.state.stat().st_mode) == 0o700


def test_the_log_is_appended_to_and_nothing_else(laptop: Laptop) -> None:
    write(laptop.agent(), 2)
    inode, before = laptop.path.stat().st_ino, laptop.text()

    write(laptop.agent(), 2)

    assert laptop.path.stat().st_ino == inode
    assert laptop.text().startswith(before)


def test_a_restarted_agent_goes_on_and_says_nothing_of_it(laptop: Laptop) -> None:
    write(laptop.agent(), 2)
    write(laptop.agent(), 1)

    assert [record["seq"] for record in laptop.records()] == [1, 2, 3]
    assert Event.LOG_RECOVERED.value not in laptop.events()
    assert laptop.verified().is_whole


def test_two_agents_that_take_turns_write_one_chain(laptop: Laptop) -> None:
    service, command = laptop.agent(), laptop.agent()
    for log in (service, command, service, service, command):
        write(log)

    assert [record["seq"] for record in laptop.records()] == [1, 2, 3, 4, 5]
    assert laptop.verified().is_whole


def test_a_clock_that_goes_backwards_is_no_break(laptop: Laptop) -> None:
    log = laptop.agent()
    write(log)
    laptop.now -= dt.timedelta(days=4000)
    write(log)

    assert [record["seq"] for record in laptop.records()] == [1, 2]
    assert laptop.verified().is_whole


def test_no_descriptor_stays_open(laptop: Laptop) -> None:
    log = laptop.agent()
    write(log)
    before = len([*Path("/proc/self/fd").iterdir()])
    write(log, 20)
    laptop.verified()

    assert len([*Path("/proc/self/fd").iterdir()]) == before


# A crash.


@pytest.mark.parametrize("left", [1, 5, 100, -20, -2])
def test_a_torn_last_line_is_kept_and_followed_by_log_recovered(laptop: Laptop, left: int) -> None:
    write(laptop.agent(), 2)
    anchor = (laptop.state / "anchors.json").read_bytes()
    whole = laptop.text()
    write(laptop.agent())
    line = laptop.text()[len(whole) :]
    laptop.path.write_bytes(whole + line[:left])  # the power went while the third was written,
    (laptop.state / "anchors.json").write_bytes(anchor)  # so its anchor never was

    write(laptop.agent())

    assert laptop.text().startswith(whole + line[:left] + b"\n")
    assert [(record["seq"], record["event"]) for record in laptop.records()[-2:]] == [
        (3, "log-recovered"),
        (4, "settings-written"),
    ]
    assert laptop.records()[-2]["facts"]["torn"]["length"] == len(line[:left])
    found = laptop.verified()
    assert found.is_whole
    assert found.notes[0] == "a line before record 3 was cut short, as that says"


def test_a_torn_line_in_front_of_everything(laptop: Laptop) -> None:
    laptop.path.parent.mkdir()
    laptop.path.write_bytes(b'{"ts":"2026')

    write(laptop.agent())

    assert laptop.events() == ["log-recovered", "settings-written"]
    assert laptop.verified().is_whole


def test_a_record_that_lacks_only_its_newline_counts(laptop: Laptop) -> None:
    write(laptop.agent(), 3)
    laptop.path.write_bytes(laptop.text()[:-1])

    write(laptop.agent())

    assert [record["seq"] for record in laptop.records()] == [1, 2, 3, 4]
    assert laptop.events().count("log-recovered") == 0
    assert laptop.verified().is_whole


def test_a_torn_line_that_nobody_has_followed_yet_is_said_and_accepted(laptop: Laptop) -> None:
    write(laptop.agent(), 2)
    with laptop.path.open("ab") as stream:
        stream.write(b'{"ts":"2026-03-01T09:12:04.00')

    found = laptop.verified()
    assert found.is_whole
    assert "a line after record 2 is cut short" in found.notes[0]


def test_a_crash_before_the_anchor_is_no_break(laptop: Laptop) -> None:
    log = laptop.agent()
    write(log)
    anchor = (laptop.state / "anchors.json").read_bytes()
    write(log)
    (laptop.state / "anchors.json").write_bytes(anchor)

    write(laptop.agent())

    assert laptop.events() == ["settings-written"] * 3
    assert laptop.verified().is_whole


def test_a_log_longer_than_one_look_from_behind(laptop: Laptop) -> None:
    laptop.agent().append(Event.APPLY_STARTED, "", "", {"diff": "x" * 300_000})
    laptop.agent().append(Event.APPLY_STARTED, "", "", {"diff": "y" * 70_000})

    assert [record["seq"] for record in laptop.records()] == [1, 2]


# Records that are missing.


def test_records_cut_off_while_the_agent_is_down_are_noticed_and_stay_missing(laptop: Laptop) -> None:
    write(laptop.agent(), 5)
    lines = laptop.text().splitlines(keepends=True)
    laptop.path.write_bytes(b"".join(lines[:3]))

    write(laptop.agent())

    recovered, following = laptop.records()[-2:]
    assert (recovered["event"], recovered["seq"], following["seq"]) == ("log-recovered", 6, 7)
    assert recovered["facts"]["because"] == "records 4 to 5 are missing, says the anchor"
    found = laptop.verified()
    assert found.broken is not None
    assert (found.broken.seq, found.broken.last, found.broken.what) == (4, 5, "missing")


def test_a_log_removed_under_a_running_agent_does_not_begin_again(laptop: Laptop) -> None:
    log = laptop.agent()
    write(log, 4)
    laptop.path.unlink()

    write(log)

    assert [(record["seq"], record["event"]) for record in laptop.records()] == [
        (5, "log-recovered"),
        (6, "settings-written"),
    ]
    found = laptop.verified()
    assert found.broken is not None
    assert found.broken.seq == 1


def test_a_log_written_anew_while_the_agent_is_down_is_noticed(laptop: Laptop, tmp_path: Path) -> None:
    write(laptop.agent(), 3)
    other = Laptop(tmp_path / "other")
    write(other.agent(), 5, Event.OFFLINE)
    laptop.path.write_bytes(other.text())

    write(laptop.agent())

    assert laptop.records()[-2]["facts"]["because"] == "3 is another, says the anchor"
    found = laptop.verified()
    assert found.broken is not None
    assert found.broken.seq == 3


def test_a_removed_anchor_is_said_once_and_does_not_stop_anything(laptop: Laptop) -> None:
    write(laptop.agent(), 3)
    (laptop.state / "anchors.json").unlink()

    log = laptop.agent()
    write(log, 2)

    assert laptop.events()[3:] == ["log-recovered", "settings-written", "settings-written"]
    assert laptop.verified().is_whole
    assert "the anchor was absent, as after an uninstall, says record 4" in laptop.verified().notes


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":2,"seq":1,"hash":""}', b"\xff\xfe"])
def test_an_anchor_of_another_format_is_none(laptop: Laptop, content: bytes) -> None:
    write(laptop.agent(), 3)
    (laptop.state / "anchors.json").write_bytes(content)

    assert "the anchor in the state directory is unreadable" in laptop.verified().notes
    write(laptop.agent())
    assert laptop.anchor()["format"] == 1


# No place to write to.


def test_a_full_disk_is_said_and_the_gap_too_when_there_is_room_again(laptop: Laptop) -> None:
    log = laptop.agent()
    laptop.path.parent.mkdir()
    laptop.path.symlink_to("/dev/full")
    for _ in range(3):
        with pytest.raises(AuditUnwritable, match="No space left on device"):
            write(log)
    assert "No space left on device" in log.problem
    laptop.path.unlink()
    laptop.now += dt.timedelta(minutes=5)

    write(log)

    assert log.problem == ""
    assert [(record["seq"], record["event"]) for record in laptop.records()] == [
        (1, "log-recovered"),
        (2, "settings-written"),
    ]
    assert laptop.records()[0]["facts"]["missed"] == {
        "records": 3,
        "since": "2026-03-01T09:12:04.000250Z",
        "because": "No space left on device",
    }
    assert laptop.verified().is_whole


def test_records_that_could_not_be_written_are_said_by_the_next_process(laptop: Laptop) -> None:
    write(laptop.agent())
    (laptop.path.parent / "kept").mkdir()
    laptop.path.rename(laptop.path.parent / "kept/log")
    laptop.path.symlink_to("/dev/full")
    for _ in range(2):
        log = laptop.agent()  # as two commands, one after the other
        for _ in range(2):
            with pytest.raises(AuditUnwritable):
                write(log)
    laptop.path.unlink()
    (laptop.path.parent / "kept/log").rename(laptop.path)
    assert any("4 could not be written" in note for note in laptop.verified().notes)

    for _ in range(2):
        write(laptop.agent())

    said = [record["facts"] for record in laptop.records() if record["event"] == "log-recovered"]
    assert [facts["missed"]["records"] for facts in said] == [4]
    assert any("4 could not be written, says record" in note for note in laptop.verified().notes)
    assert not any("no record says so" in note for note in laptop.verified().notes)


def test_a_folder_that_cannot_be_made(laptop: Laptop) -> None:
    log = laptop.agent()
    laptop.path.parent.write_text("a file where the folder should be")
    with pytest.raises(AuditUnwritable):
        write(log)
    laptop.path.parent.unlink()

    write(log)

    assert laptop.events() == ["log-recovered", "settings-written"]
    assert laptop.verified().is_whole


_FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from agent.audit.log import AuditLog, AuditUnwritable
from agent.values.asker import Asker, Via
from agent.values.events import Event

log = AuditLog(Path(sys.argv[1]), Path(sys.argv[2]))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
missed = 0
for limit in (2_000, 2_001, 2_100, 2_600, 7_000, hard):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    for _ in range(12):
        try:
            log.append(Event.SETTINGS_WRITTEN, "netlink", "p1", {"target": "x" * 100})
        except AuditUnwritable:
            missed += 1
print(missed)
"""


def test_lines_cut_short_by_a_full_disk_again_and_again_are_no_break(laptop: Laptop) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FILLS_THE_DISK, laptop.path, laptop.state],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    missed = int(done.stdout)
    said = sum(record["facts"]["missed"]["records"] for record in laptop.records() if "missed" in record["facts"])
    assert missed > 20
    assert said == missed
    assert laptop.events().count("settings-written") == 72 - missed
    assert [record["seq"] for record in laptop.records()] == list(range(1, len(laptop.records()) + 1))
    assert laptop.verified().is_whole
    assert any("cut short" in note for note in laptop.verified().notes)


def test_a_state_directory_that_cannot_be_written_costs_an_anchor_and_no_record(laptop: Laptop) -> None:
    log = laptop.agent()
    write(log)
    (laptop.state / "anchors.json").rename(laptop.state / "kept")
    (laptop.state / "anchors.json").mkdir()

    write(log, 2)

    assert str(laptop.state / "anchors.json") in log.problem
    assert [record["seq"] for record in laptop.records()] == [1, 2, 3]
    (laptop.state / "anchors.json").rmdir()
    (laptop.state / "kept").rename(laptop.state / "anchors.json")
    write(laptop.agent())  # the anchor says 1, the log has 3 and the same 1
    assert laptop.events() == ["settings-written"] * 4
    assert laptop.verified().is_whole


def test_an_anchor_that_can_never_be_written_is_said_once_by_each_agent(laptop: Laptop) -> None:
    laptop.state.write_text("no folder")
    write(laptop.agent())
    one, other = laptop.agent(), laptop.agent()
    for log in (one, other, one, other):
        write(log)

    assert laptop.events().count("log-recovered") == 2
    assert laptop.verified().is_whole


# Full files.


def test_a_file_is_full_with_a_tenth_and_named_by_its_first_record(laptop: Laptop) -> None:
    write(laptop.agent(max_bytes=20_000), 30)

    names = [file.name for file in laptop.files]
    assert names[0] == "audit-0000000001.jsonl"
    assert len(names) > 3
    for file in laptop.files[:-1]:
        first = json.loads(file.read_bytes().splitlines()[0])
        assert file.name == f"audit-{first['seq']:010d}.jsonl"
        assert 2000 <= file.stat().st_size < 2500
    assert [record["seq"] for record in laptop.records()] == list(range(1, 31))
    assert laptop.verified().is_whole


def test_max_size_drops_the_oldest_files_and_says_which(laptop: Laptop) -> None:
    log = laptop.agent(max_bytes=10_000)
    write(log, 80)

    assert sum(file.stat().st_size for file in laptop.files) <= 10_000 + 500  # the last record may stand over
    trims = [record["facts"] for record in laptop.records() if record["event"] == "log-trimmed"]
    assert trims[-1]["because"] == "max_size"
    first = laptop.records()[0]
    assert trims[-1]["files"][-1] == {
        "first": trims[-1]["files"][-1]["first"],
        "last": first["seq"] - 1,
        "hash": first["prev"],
    }
    found = laptop.verified()
    assert found.is_whole
    assert found.first == first["seq"] > 1


def test_keep_drops_files_whose_newest_record_is_too_old(laptop: Laptop) -> None:
    log = laptop.agent(keep_s=10 * DAY)
    for _ in range(30):
        write(log)
        laptop.now += dt.timedelta(days=0.6)

    ages = [laptop.now - dt.datetime.fromisoformat(record["ts"]) for record in laptop.records()]
    assert dt.timedelta(days=10) <= max(ages) <= dt.timedelta(days=13)
    assert [record["facts"]["because"] for record in laptop.records() if record["event"] == "log-trimmed"][-1] == "keep"
    assert laptop.verified().is_whole


@pytest.mark.parametrize("wrong", [1, 5])
def test_a_clock_that_is_wrong_for_a_while_drops_nothing(laptop: Laptop, wrong: int) -> None:
    """Years ahead, as without a battery until the time is asked for."""
    log = laptop.agent()
    for _ in range(50):
        write(log)
        laptop.now += dt.timedelta(hours=1)
    right = laptop.now
    laptop.now += dt.timedelta(days=1000)
    for _ in range(wrong):
        write(log)
        laptop.now += dt.timedelta(hours=2)
    laptop.now = right
    for _ in range(3):
        write(log)

    assert [record["seq"] for record in laptop.records()] == list(range(1, 54 + wrong))
    assert "log-trimmed" not in laptop.events()
    assert laptop.verified().is_whole


def test_a_lower_limit_of_a_new_policy_holds_from_the_next_record_on(laptop: Laptop) -> None:
    log = laptop.agent(max_bytes=20_000)
    write(log, 30)

    log.limit(400 * DAY, 5_000)
    write(log)

    assert sum(file.stat().st_size for file in laptop.files) <= 5_500
    assert laptop.verified().is_whole


def test_a_crash_between_saying_and_dropping_is_caught_up(laptop: Laptop) -> None:
    log = laptop.agent(max_bytes=20_000)
    write(log, 40)
    oldest = {file: file.read_bytes() for file in laptop.files[:4]}
    log.limit(400 * DAY, 10_000)
    write(log)
    dropped = [file for file in oldest if not file.exists()]
    for file in dropped[1:]:  # the crash came after the first was gone
        file.write_bytes(oldest[file])
    assert len(dropped) > 1
    assert laptop.verified().is_whole

    write(laptop.agent(max_bytes=10_000))

    assert not any(file.exists() for file in dropped)
    assert laptop.verified().is_whole


def test_a_crash_between_renaming_and_the_next_file(laptop: Laptop) -> None:
    write(laptop.agent(), 3)
    laptop.path.rename(laptop.path.with_name("audit-0000000001.jsonl"))
    assert laptop.verified().is_whole

    write(laptop.agent(), 2)

    assert [record["seq"] for record in laptop.records()] == [1, 2, 3, 4, 5]
    assert laptop.verified().is_whole


def test_a_full_file_is_never_written_over(laptop: Laptop) -> None:
    log = laptop.agent(max_bytes=5_000)
    laptop.path.parent.mkdir()
    foreign = laptop.path.with_name("audit-0000000001.jsonl")
    foreign.write_text("somebody's\n")

    write(log, 5)

    assert foreign.read_text() == "somebody's\n"
    assert str(foreign) in log.problem
    assert len(laptop.path.read_bytes().splitlines()) == 5

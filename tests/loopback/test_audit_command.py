"""`docker-proxy-agent audit`: what a person reads, and what a script gets."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agent.audit import system_journal
from agent.audit.chain import Anchor
from agent.audit.facts import Plain
from agent.audit.log import AuditLog
from agent.cli.audit import command
from agent.cli.audit.options import arguments
from agent.cli.install.systemd import UNIT
from agent.values.asker import Asker
from agent.values.errors import AgentError
from agent.values.events import Event
from agent.values.paths import Paths

# What root can do to a log of which the journal has nothing.
ALL = (
    "can have rewritten this log, and nothing on this machine would show it. An anchor that you noted before, and"
    " kept on another machine, would: audit verify --anchor"
)
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


class Host:
    """A root directory with a log in it, and somebody at the command line."""

    def __init__(self, root: Path, printed: pytest.CaptureFixture[str]) -> None:
        self.paths = Paths(root)
        self._printed = printed
        self._now = NOW
        self._log = AuditLog(self.paths.audit_log, self.paths.state, clock=lambda: self._now, this_boot="b")

    def hours_ago(self, hours: float) -> Host:
        self._now = NOW - dt.timedelta(hours=hours)
        return self

    def at(self, clock: str) -> Host:
        """What is written from now on is written then, of this day, by UTC."""
        self._now = dt.datetime.combine(NOW, dt.time.fromisoformat(clock), dt.UTC)
        return self

    def write(self, event: Event, pass_id: str = "", *, by: Asker | None = None, **facts: Plain) -> None:
        self._log.append(event, "timer", pass_id, facts, by=by)

    def audit(self, *words: str) -> tuple[int, list[str], list[str]]:
        """Exit status and the lines of stdout and stderr."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--json", action="store_true")
        arguments(parser)
        status = command.run(parser.parse_args(words), self.paths)
        out, err = self._printed.readouterr()
        return status, out.splitlines(), err.splitlines()


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str], zone: Callable[[str], None]) -> Host:
    zone("Asia/Kolkata")  # half an hour beside the others
    return Host(tmp_path, capsys)


@pytest.fixture
def diary(host: Host) -> Host:
    host.hours_ago(30).write(Event.OFFLINE, pass_id="1", previous_network="office")
    host.hours_ago(3).write(Event.UPSTREAM_CHOSEN, pass_id="2", network="office", upstream="corp")
    host.write(Event.DOCKER_RESTARTED, pass_id="2", due="corp")
    host.hours_ago(1).write(Event.DOCKER_RESTARTED, pass_id="3", due="direct")
    return host


def test_a_record_is_a_line_in_the_readers_own_time(diary: Host) -> None:
    assert diary.audit() == (
        0,
        [
            "2026-02-28 11:30:00  offline           Offline, before: office; nothing is changed",
            "2026-03-01 14:30:00  upstream-chosen   Chose corp in office",
            "2026-03-01 14:30:00  docker-restarted  Docker restarted: corp",
            "2026-03-01 16:30:00  docker-restarted  Docker restarted: direct",
        ],
        [],
    )


def test_at_80_columns_a_long_record_is_folded_and_its_lines_hang(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    host.write(
        Event.DOCKER_RESTARTED, due="Docker runs with direct, but should run with http://proxy.corp.example:3128"
    )

    _, out, _ = host.audit()

    assert len(out) == 2
    assert [line for line in out if len(line) > 80] == []
    assert out[1].startswith(" " * 15)


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        pytest.param([], [1, 2, 3, 4], id="all"),
        pytest.param(["--event", "docker-restarted"], [3, 4], id="event"),
        pytest.param(["--event", "docker-restarted", "--event", "offline"], [1, 3, 4], id="events"),
        pytest.param(["--last", "2"], [3, 4], id="last"),
        pytest.param(["--event", "docker-restarted", "--last", "1"], [4], id="last-of-those"),
        pytest.param(["--network", "office"], [2, 3], id="network-of-the-pass"),
        pytest.param(["--network", "home"], [], id="no-such-network"),
        pytest.param(["--since", "2026-03-01T09:00:00Z"], [2, 3, 4], id="since"),
        pytest.param(["--until", "2026-03-01T09:00:00Z"], [1], id="until"),
        pytest.param(["--since", "2026-03-01T14:30"], [2, 3, 4], id="without-offset-local"),
        pytest.param(["--since", "2026-03-01"], [2, 3, 4], id="a-day"),
        pytest.param(["--since", "2026-02-28T06:00:00Z", "--until", "2026-03-01T10:00:00+00:00"], [1, 2, 3], id="both"),
    ],
)
def test_only_the_records_that_are_asked_for_are_printed(diary: Host, words: list[str], seqs: list[int]) -> None:
    status, out, _ = diary.audit("--json", *words)

    assert status == 0
    assert [json.loads(line)["seq"] for line in out] == seqs


def test_json_prints_the_very_lines_of_the_log(diary: Host) -> None:
    _, out, _ = diary.audit("--json")

    assert "\n".join(out) + "\n" == diary.paths.audit_log.read_text()


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "9999999999d", "0001-01-01"])
def test_what_is_no_time_is_said(host: Host, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        host.audit("--since", text)

    assert "is not a time, such as" in capsys.readouterr().err


def test_no_log_yet(host: Host) -> None:
    assert host.audit() == (0, [], [f"{host.paths.audit_log}: no matching records"])
    assert host.audit("verify")[:2] == (
        0,
        [
            "whole: no records",
            "  note     the anchor in the state directory is absent",
            "  note     the journal was not read",
            f"  root     {ALL}",
        ],
    )


def test_lines_that_are_no_records_do_not_stop_a_reader(diary: Host) -> None:
    with diary.paths.audit_log.open("ab") as stream:
        stream.write(b'\xff\xfe\n{"seq":"five"}\n[[[[\n\n{"ts":"torn')

    status, out, err = diary.audit()

    assert (status, len(out)) == (0, 4)
    assert "5 lines are not valid records" in err[0]


def test_a_record_of_a_newer_agent_is_shown_as_far_as_it_can_be(diary: Host) -> None:
    text = diary.paths.audit_log.read_text().replace('"offline"', '"teleported"').replace("2026-02-28T", "yesterday T")
    diary.paths.audit_log.write_text(text)

    _, out, _ = diary.audit()

    assert out[0] == 'yesterday T06:00:00.000000Z  teleported        {"previous_network":"office"}'


def test_nothing_in_a_record_reaches_the_terminal_as_it_is(host: Host) -> None:
    host.write(Event.NETWORK_CHANGED, network="a\x1b]0;b\x07\nc http://u:p@h")

    _, out, _ = host.audit()

    assert len(out) == 1
    assert out[0].isprintable()


def test_verify_says_whole_and_by_which_anchors(diary: Host) -> None:
    status, out, _ = diary.audit("verify")

    assert status == 0
    assert out == [
        "whole: 4 records, 1 to 4",
        "  anchor   state directory: 1 anchor of record 4",
        "  note     the journal was not read",
        f"  end      {end_of(diary)}",
        f"  root     {ALL}",
    ]


def test_verify_names_the_first_broken_place_and_exits_1(diary: Host) -> None:
    path = diary.paths.audit_log
    path.write_text(path.read_text().replace('"corp"', '"none"'))

    status, out, _ = diary.audit("verify")

    assert status == 1
    assert out[0] == f"altered: record 2: is not as it was written ({path}, line 2)"
    assert json.loads(diary.audit("verify", "--json")[1][0])["broken"]["seq"] == 2


def end_of(host: Host) -> str:
    last = json.loads(host.paths.audit_log.read_text().splitlines()[-1])
    return f"{last['seq']}:{last['hash']}"


def test_an_anchor_that_was_kept_elsewhere_finds_a_log_that_was_written_anew(diary: Host) -> None:
    kept = end_of(diary)
    assert (
        "can have changed nothing from record 1 to 4 since you noted" in diary.audit("verify", "--anchor", kept)[1][-1]
    )

    shutil.rmtree(diary.paths.audit_log.parent)
    shutil.rmtree(diary.paths.state)
    anew = AuditLog(diary.paths.audit_log, diary.paths.state)
    for _ in range(5):
        anew.append(Event.OFFLINE, "timer", "", {})

    assert diary.audit("verify")[0] == 0
    status, out, _ = diary.audit("verify", "--anchor", kept)
    assert (status, out[0]) == (1, "altered: record 4: is not the one that the anchor that was given knows")


def test_an_anchor_that_is_read_today_proves_nothing_about_what_was_missing_by_then(diary: Host) -> None:
    path = diary.paths.audit_log
    path.write_text("".join(path.read_text().splitlines(keepends=True)[2:]))

    status, out, _ = diary.audit("verify", "--anchor", end_of(diary))

    assert (status, out[0]) == (1, "incomplete: records 1 to 2 are missing, and no record says that they were dropped")
    assert out[-1] == (
        "  root     can have changed nothing from record 3 to 4 since you noted that anchor; before you noted it, and"
        " after record 4, anything. An anchor that is read from this log today proves nothing about before. No anchor"
        " covers what is missing"
    )


@pytest.mark.parametrize("text", ["", "4", "4:", "0:" + "a" * 64, "4:" + "A" * 64, "4:" + "a" * 63])
def test_what_is_no_anchor_is_said(host: Host, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        host.audit("verify", "--anchor", text)

    assert "is not the number of a record, a colon and its hash" in capsys.readouterr().err


def test_a_log_that_cannot_be_read_is_one_line_with_its_path(host: Host) -> None:
    host.paths.audit_log.parent.parent.mkdir(parents=True)
    host.paths.audit_log.parent.write_text("no folder")

    for words in ([], ["verify"]):
        with pytest.raises(AgentError, match=r"audit\.jsonl: cannot be read \(Not a directory\)"):
            host.audit(*words)


OF_US: dict[str, object] = {"_SYSTEMD_UNIT": "docker-proxy-agent.service", "DPA_AUDIT_HASH": "ab"}


def printed(*entries: Mapping[str, object]) -> list[bytes]:
    """As `journalctl --output=json --output-fields=…` prints it."""
    return [json.dumps({"__CURSOR": "s=1", "_BOOT_ID": "x", **entry}).encode() for entry in entries]


def test_anchors_are_found_among_what_journalctl_prints() -> None:
    lines = printed(
        OF_US | {"DPA_AUDIT_SEQ": "7"},
        {"_SYSTEMD_UNIT": "docker-proxy-agent.service"},
        OF_US | {"DPA_AUDIT_SEQ": ["7", "8"]},
        OF_US | {"DPA_AUDIT_SEQ": "many"},
        OF_US | {"DPA_AUDIT_SEQ": "9", "DPA_AUDIT_HASH": None},
        OF_US | {"DPA_AUDIT_SEQ": "8"},
    )

    assert system_journal.logs_in([*lines, b"-- No entries --"]) == ((Anchor(7, "ab"), Anchor(8, "ab")),)
    assert system_journal.logs_in([]) == ((),)


def test_what_dockerd_sends_for_a_container_is_no_anchor_and_no_end() -> None:
    of_docker: dict[str, object] = {"_SYSTEMD_UNIT": "docker.service", "DPA_AUDIT_HASH": "ab"}
    lines = printed(
        OF_US | {"DPA_AUDIT_SEQ": "7"},
        of_docker | {"DPA_AUDIT_SEQ": "9"},
        {"DPA_AUDIT_SEQ": "9", "DPA_AUDIT_HASH": "ab"},  # of a process that was gone before journald could look
        of_docker | {"DPA_AUDIT_SEQ": "9", "DPA_AUDIT_ENDED": "1"},
        of_docker | {"DPA_AUDIT_SEQ": "7", "DPA_AUDIT_HASH": "cd", "DPA_AUDIT_ENDED": "1"},
    )

    assert system_journal.logs_in(lines) == ((Anchor(7, "ab"),),)


def test_a_log_ends_where_a_command_names_its_newest_anchor() -> None:
    ends: dict[str, object] = {"_SYSTEMD_UNIT": "session-3.scope", "DPA_AUDIT_HASH": "ab", "DPA_AUDIT_ENDED": "1"}
    lines = printed(
        ends | {"DPA_AUDIT_SEQ": "6"},  # before there was anything
        OF_US | {"DPA_AUDIT_SEQ": "6"},
        OF_US | {"DPA_AUDIT_SEQ": "7"},
        ends | {"DPA_AUDIT_SEQ": "7"},
        ends | {"DPA_AUDIT_SEQ": "7"},
        OF_US | {"DPA_AUDIT_SEQ": "1"},
    )

    assert system_journal.logs_in(lines) == ((Anchor(6, "ab"), Anchor(7, "ab")), (Anchor(1, "ab"),))


def test_anchors_and_ends_of_a_development_version_count_as_well() -> None:
    of_us: dict[str, object] = {"_SYSTEMD_UNIT": "docker-proxy-agent.service", "AUDIT_HASH": "ab"}
    ends: dict[str, object] = {"_SYSTEMD_UNIT": "session-3.scope", "AUDIT_HASH": "ab", "AUDIT_ENDED": "1"}
    lines = printed(of_us | {"AUDIT_SEQ": "7"}, ends | {"AUDIT_SEQ": "7"}, OF_US | {"DPA_AUDIT_SEQ": "1"})

    assert system_journal.logs_in(lines) == ((Anchor(7, "ab"),), (Anchor(1, "ab"),))


def test_a_users_own_service_and_the_systems_are_no_anchors_of_each_others() -> None:
    of_her: dict[str, object] = {
        "_SYSTEMD_UNIT": "user@1000.service",
        "_SYSTEMD_USER_UNIT": "docker-proxy-agent.service",
        "DPA_AUDIT_HASH": "ab",
    }
    lines = printed(OF_US | {"DPA_AUDIT_SEQ": "7"}, of_her | {"DPA_AUDIT_SEQ": "3"})

    assert system_journal.logs_in(lines) == ((Anchor(7, "ab"),),)
    assert system_journal.logs_in(lines, user=1000) == ((Anchor(3, "ab"),),)


def test_the_unit_that_is_believed_is_the_one_that_is_installed() -> None:
    assert system_journal.UNIT == UNIT

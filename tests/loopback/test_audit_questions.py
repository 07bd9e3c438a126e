"""`audit at`, `outages`, `who`, `--follow`: what an auditor asks of a log, and reads."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from agent.audit.facts import Plain
from agent.audit.files import followed, full_files
from agent.audit.log import AuditLog
from agent.cli.misused import Misused
from agent.one_pass.picture import Picture
from agent.service.status_file import PolicyStatus, StatusFile, status_of
from agent.values.asker import Asker, Via
from agent.values.errors import AgentError
from agent.values.events import Event
from tests.pure.test_status_page import AT_THE_OFFICE

from .test_audit_command import Host, host

__all__ = ["host"]

OFFICE: Final[Plain] = {"http": "http://proxy.test:3128", "https": "http://proxy.test:3128", "no_proxy": "localhost"}
DIRECT: Final[Plain] = {"direct": True}
ALICE: Final = Asker(Via.CONTROL, uid=0, login_uid=1000, claimed="alice")
MATCHED: Final = "match.gateway 10.10.0.1 on wlan0"


@pytest.fixture
def day(host: Host) -> Host:
    """Times are UTC; the reader is in India, five and a half hours on."""
    host.at("03:30:00")
    host.write(
        Event.AGENT_STARTED, version="1", network="office", upstream="corp", effective=OFFICE, invocation="i1",
        policy_sha256="ab" * 32,
    )  # fmt: skip
    host.at("04:00:00").write(Event.NETWORK_CHANGED, pass_id="p2", network="home", because=MATCHED)
    host.write(Event.UPSTREAM_CHOSEN, pass_id="p2", network="home", upstream="direct", because="first of direct")
    host.at("04:00:02").write(Event.DOCKER_STARTED, pass_id="p2", cause="agent", effective=DIRECT, invocation="i2")
    host.write(Event.DOCKER_RESTARTED, pass_id="p2", took_s=0.7, due="to run with direct", allowed="none runs")
    host.at("05:00:30")
    host.write(
        Event.UNREACHABLE_BEGAN, network="home", upstream="direct", since="2026-03-01T05:00:00Z", because="it may come",
        verdicts=[{"upstream": "direct", "verdict": "refused", "ms": 1.0, "evidence": "nobody listens"}],
    )  # fmt: skip
    host.at("05:10:00").write(Event.UNREACHABLE_ENDED, lasted_s=600.0, upstream="direct", because="it works here")
    host.at("06:00:00").write(Event.PINNED, pass_id="p3", by=ALICE, upstream="corp", until=None)
    host.write(Event.RESTART_DEFERRED, pass_id="p3", by=ALICE, due="to run with corp", waits="3 containers run")
    host.at("07:00:00").write(Event.AGENT_STOPPED, because="told to stop")
    return host


def test_at_says_what_was_so_and_by_which_records(day: Host) -> None:
    _, out, _ = day.audit("at", "2026-03-01", "11:45")

    assert out == [
        "At 2026-03-01 11:45:00",
        "  agent        1 ran, since 2026-03-01 09:00:00",
        "  network      home, since 2026-03-01 09:30:00: match.gateway 10.10.0.1 on wlan0",
        "  chosen       direct, since 2026-03-01 09:30:00: first of direct",
        "  docker       direct, since 2026-03-01 09:30:02, started by the agent",
        "  policy       abababababab, since 2026-03-01 09:00:00",
        "  restarted    by the agent at 2026-03-01 09:30:02, 0.7 s: to run with direct; none runs (record 5)",
        "  note         a restart of Docker waited: 3 containers run; to run with corp, since 2026-03-01 11:30:00",
        "  note         pinned to: corp, since 2026-03-01 11:30:00",
        "  records      that show this:",
        "            1  2026-03-01 09:00:00  agent-started     The agent 1 started in office; Docker runs with "
        "http://proxy.test:3128",
        f"            2  2026-03-01 09:30:00  network-changed   The network changed: home; {MATCHED}",
        "            3  2026-03-01 09:30:00  upstream-chosen   Chose direct in home: first of direct",
        "            4  2026-03-01 09:30:02  docker-started    Docker runs with direct, started by agent",
        "            5  2026-03-01 09:30:02  docker-restarted  Docker restarted (0.7 s): to run with direct; none runs",
        "            8  2026-03-01 11:30:00  pinned            Pinned to corp",
        "            9  2026-03-01 11:30:00  restart-deferred  The restart of Docker waits: 3 containers run; "
        "to run with corp",
    ]


def test_at_says_through_which_upstream_docker_had_the_relay(host: Host) -> None:
    host.at("03:30:00").write(Event.AGENT_STARTED, version="1", relay="corp")
    host.at("04:00:00").write(Event.RELAY_SWITCHED, upstream="direct", network="home", others=[], generation=2)
    host.at("05:00:00").write(Event.RELAY_DISABLED, because="the policy does not enable it")

    _, out, _ = host.audit("at", "2026-03-01T04:30:00Z")
    assert "  relay        Docker was given it: through direct, since 2026-03-01 09:30:00" in out
    shown = json.loads("\n".join(host.audit("at", "2026-03-01T04:30:00Z", "--json")[1]))
    assert (shown["relay"]["value"], shown["relay"]["record"]) == ("direct", 2)

    assert json.loads("\n".join(host.audit("at", "2026-03-01T05:30:00Z", "--json")[1]))["relay"] is None


def test_at_says_that_nothing_is_known_where_no_agent_ran(day: Host) -> None:
    _, out, _ = day.audit("at", "2026-03-01T07:30:00Z")

    unknown = "not known: no agent ran, since 2026-03-01 12:30:00; before that:"
    assert out[1:6] == [
        "  agent        none ran, since 2026-03-01 12:30:00: told to stop",
        f"  network      {unknown} home",
        f"  chosen       {unknown} direct",
        f"  docker       {unknown} direct",
        f"  policy       {unknown} abababababab",
    ]
    assert "  note         the log's newest record is from 2026-03-01 12:30:00" in out


def test_at_before_the_log_nothing_is_known(day: Host) -> None:
    _, out, _ = day.audit("at", "2026-02-01")

    assert out[2] == "  network      not known: the log begins at 2026-03-01 09:00:00"
    assert not any("records" in line for line in out)


def test_at_without_a_log(host: Host) -> None:
    _, out, _ = host.audit("at", "2026-02-01")

    assert out[2] == "  network      not known: there are no records"


def test_at_for_programs(day: Host) -> None:
    shown = json.loads("\n".join(day.audit("at", "2026-03-01T05:05:00Z", "--json")[1]))

    assert shown["at"] == "2026-03-01T05:05:00Z"
    assert shown["network"] == {
        "value": "home", "known": True, "why_not": "", "since": "2026-03-01T04:00:00Z", "until": "2026-03-01T07:00:00Z",
        "because": MATCHED, "record": 2, "about": "", "settings": None, "cause": "",
    }  # fmt: skip
    assert [(one["value"], one["settings"], one["cause"]) for one in shown["docker"]] == [("direct", DIRECT, "agent")]
    assert [(one["code"], one["held"]["record"]) for one in shown["conditions"]] == [("unreachable", 6)]
    assert [record["seq"] for record in shown["records"]] == [1, 2, 3, 4, 5, 6]
    later = json.loads("\n".join(day.audit("at", "2026-03-01T08:00:00Z", "--json")[1]))
    assert (later["network"]["known"], later["network"]["why_not"]) == (False, "no agent ran")


def test_a_time_that_is_still_to_come_is_refused(day: Host) -> None:
    with pytest.raises(AgentError, match='"9999-01-01" is in the future'):
        day.audit("at", "9999-01-01")


def test_at_what_is_no_time_is_said(day: Host) -> None:
    with pytest.raises(AgentError, match='"the day before" is not a time, such as'):
        day.audit("at", "the", "day", "before")


def test_a_time_that_was_twice_is_said_to_be(day: Host) -> None:
    day.at("06:30:00").write(Event.NETWORK_CHANGED, network="cafe")

    _, out, _ = day.audit("at", "2026-03-01T06:45:00Z")

    assert any("occurred twice, because the clock was set back" in line for line in out)
    assert any("cafe" in line for line in out)


def test_of_a_time_that_was_twice_only_the_later_is_told(day: Host) -> None:
    day.at("04:30:00").write(Event.AGENT_STARTED, version="1", network="cafe")

    _, out, _ = day.audit("at", "2026-03-01T05:05:00Z")

    assert any("cafe" in line for line in out)
    assert not any("Docker reached no registry" in line for line in out)


def test_outages_have_begin_end_length_and_reason(day: Host) -> None:
    _, out, _ = day.audit("outages")

    assert out == [
        "2026-03-01 10:30:00  to 2026-03-01 10:40:00: 10 min 0 s",
        "  docker       reached no registry in home via direct",
        "  verdicts     direct refused [nobody listens]",
        "  why          nothing worked here: direct refused",
        "  end          direct works again",
        "  records      6, 7",
        "1 outage: 10 min 0 s in all",
    ]
    (one,) = map(json.loads, day.audit("outages", "--json")[1])
    assert (one["begin"], one["end"], one["lasted_s"]) == ("2026-03-01T05:00:00Z", "2026-03-01T05:10:00Z", 600.0)
    assert day.audit("outages", "--network", "office")[1] == ["no outages"]
    assert day.audit("outages", "--since", "2026-03-01T05:11:00Z")[1] == ["no outages"]


def test_what_docker_ran_with_and_where(day: Host) -> None:
    _, out, _ = day.audit("ran", "--until", "2026-03-01T08:00:00Z")

    assert out == [
        "2026-03-01 09:00:00 to 2026-03-01 09:30:00, 30 min 0 s: http://proxy.test:3128 in office (record 1)",
        "2026-03-01 09:30:00 to 2026-03-01 09:30:02, 2.0 s: http://proxy.test:3128 in home (record 1)",
        "2026-03-01 09:30:02 to 2026-03-01 12:30:00, 2 h 59 min: direct in home, started by the agent (record 4)",
        "2026-03-01 12:30:00 to 2026-03-01 13:30:00, 1 h 0 min: not known: no agent ran (record 4)",
        "4 periods, 3 h 30 min in all; 1 h 0 min are not known",
    ]


def test_whether_docker_was_ever_direct_at_the_office(day: Host) -> None:
    asked = ("ran", "--until", "2026-03-01T08:00:00Z", "--upstream", "direct")

    assert day.audit(*asked, "--network", "office")[1] == ["never, as far as is known; 1 h 0 min are not known"]
    assert [line.partition(" (")[0] for line in day.audit(*asked, "--network", "home")[1]] == [
        "2026-03-01 09:30:02 to 2026-03-01 12:30:00, 2 h 59 min: direct in home, started by the agent",
        "1 period, 2 h 59 min in all; 1 h 0 min are not known",
    ]
    (one,) = map(json.loads, day.audit(*asked, "--network", "home", "--json")[1])
    assert (one["runs"], one["network"], one["begin"], one["record"]) == ("direct", "home", "2026-03-01T04:00:02Z", 4)


def by_the_relay(host: Host) -> Host:
    """From 4:00 to 7:00: through corp at the office, through direct at home, and at last nobody knows."""
    relay: Final[Plain] = {"http": "http://127.0.0.1:3130", "https": "http://127.0.0.1:3130"}
    host.at("03:00:00").write(Event.AGENT_STARTED, version="1", network="office", effective=OFFICE, invocation="i1")
    host.at("03:30:00").write(Event.RELAY_SWITCHED, upstream="corp", network="office", others=[], generation=1)
    host.at("03:30:00").write(Event.RELAY_ENABLED, listens=["127.0.0.1:3130"])
    host.at("04:00:00").write(Event.DOCKER_STARTED, cause="agent", effective=relay, invocation="i2")
    host.at("05:00:00").write(Event.RELAY_SWITCHED, upstream="direct", network="home", others=[], generation=2)
    host.at("05:00:00").write(Event.NETWORK_CHANGED, network="home", because=MATCHED)
    host.at("06:00:00").write(Event.NETWORK_CHANGED, network="office", because=MATCHED)
    host.at("06:00:00").write(Event.RELAY_FAILED, because="refused")
    host.at("07:00:00").write(Event.DOCKER_STARTED, cause="agent", effective=OFFICE, invocation="i3")
    host.at("08:00:00").write(Event.AGENT_STOPPED, because="told to stop")
    return host


def test_through_which_upstream_the_relay_led_docker(host: Host) -> None:
    _, out, _ = by_the_relay(host).audit("ran", "--until", "2026-03-01T08:00:00Z")

    assert [line.removeprefix("2026-03-01 ").replace(" to 2026-03-01 ", "-") for line in out] == [
        "08:30:00-09:30:00, 1 h 0 min: http://proxy.test:3128 in office (record 1)",
        "09:30:00-10:30:00, 1 h 0 min: http://127.0.0.1:3130 (the relay, through corp) in office,"
        " started by the agent (record 4)",
        "10:30:00-11:30:00, 1 h 0 min: http://127.0.0.1:3130 (the relay, through direct) in home,"
        " started by the agent (record 4)",
        "11:30:00-12:30:00, 1 h 0 min: http://127.0.0.1:3130 (the relay; through which upstream is not known)"
        " in office, started by the agent (record 4)",
        "12:30:00-13:30:00, 1 h 0 min: http://proxy.test:3128 in office, started by the agent (record 9)",
        "5 periods, 5 h 0 min in all",
    ]


@pytest.mark.parametrize(
    ("network", "upstream", "said"),
    [
        ("home", "direct", "1 period, 1 h 0 min in all"),
        ("office", "direct", "never, as far as is known; 1 h 0 min are not known"),
        ("office", "corp", "1 period, 1 h 0 min in all; 1 h 0 min are not known"),
        ("home", "the relay", "1 period, 1 h 0 min in all"),
    ],
)
def test_what_went_through_the_relay_went_by_the_upstream_behind_it(
    host: Host, network: str, upstream: str, said: str
) -> None:
    asked = ("ran", "--until", "2026-03-01T08:00:00Z", "--network", network, "--upstream", upstream)

    assert by_the_relay(host).audit(*asked)[1][-1] == said


def test_what_is_behind_the_relay_has_a_name_of_its_own_for_programs(host: Host) -> None:
    rows = [
        json.loads(line) for line in by_the_relay(host).audit("ran", "--until", "2026-03-01T08:00:00Z", "--json")[1]
    ]

    assert [(row["upstream"], row["behind"]) for row in rows] == [
        ("http://proxy.test:3128", ""),
        ("the relay", "corp"),
        ("the relay", "direct"),
        ("the relay", None),
        ("http://proxy.test:3128", ""),
    ]
    assert [row["why_not"] for row in rows] == ["", "", "", "no record says it", ""]


def test_an_outage_whose_end_nobody_saw_has_a_least_length(day: Host) -> None:
    day.at("08:00:00").write(Event.AGENT_STARTED, version="1")
    day.at("08:01:00").write(Event.UNREACHABLE_BEGAN, network="home", since="2026-03-01T08:01:00Z", because="b")
    day.at("08:05:00").write(Event.OFFLINE)
    day.at("09:00:00").write(Event.AGENT_STARTED, version="1", last_ended="was killed, or crashed")

    _, out, _ = day.audit("outages", "--since", "2026-03-01T08:00:00Z")

    assert out[0] == "2026-03-01 13:31:00  its end was not seen: at least 4 min 0 s"
    assert out[-1] == "1 outage: of unknown length"


def test_one_that_goes_on_is_said_to_while_an_agent_looks(day: Host) -> None:
    day.at("08:00:00").write(Event.AGENT_STARTED, version="1")
    day.at("08:01:00").write(Event.UNREACHABLE_BEGAN, network="home", since="2026-03-01T08:01:00Z", because="b")

    assert "2026-03-01 13:31:00  its end was not seen: at least 0.0 s" in day.audit("outages")[1]
    an_agent_runs(day)
    assert "2026-03-01 13:31:00  ongoing when the log ends" in day.audit("outages")[1]


def test_after_the_last_record_it_is_known_if_an_agent_looks(day: Host) -> None:
    day.at("08:00:00").write(Event.AGENT_STARTED, version="1", network="home")

    assert "the agent ended without a word at some time then" in day.audit("at", "2026-03-01T09:00:00Z")[1][2]
    an_agent_runs(day)
    assert day.audit("at", "2026-03-01T09:00:00Z")[1][2] == "  network      home, since 2026-03-01 13:30:00"


def an_agent_runs(day: Host) -> None:
    drawn = Picture(**{name: getattr(AT_THE_OFFICE, name) for name in Picture.__struct_fields__})
    StatusFile(day.paths.status).show(status_of(drawn, PolicyStatus("/etc/x"), AT_THE_OFFICE.last))


def test_who_asked_for_what_and_what_came_of_it(day: Host) -> None:
    _, out, _ = day.audit("who")

    assert out == [
        "2026-03-01 11:30:00  pin corp, by alice (claimed by sudo), login uid 1000 (record 8)",
        "  then         a restart of docker waits",
    ]
    (order,) = map(json.loads, day.audit("who", "--json")[1])
    assert (order["what"], order["by"]["claimed"], order["record"]) == ("pin corp", "alice", 8)


def test_a_record_at_the_end_of_time_is_shown(day: Host) -> None:
    last = day.paths.audit_log.read_text().splitlines()[-1]
    with day.paths.audit_log.open("a") as stream:
        stream.write(re.sub('"ts":"[^"]*","seq":[0-9]*', '"ts":"9999-12-31T23:59:59.000000Z","seq":11', last) + "\n")

    assert day.audit()[1][-1].startswith("9999-12-31T23:59:59+00:00  agent-stopped")
    assert day.audit("at", "2026-03-01T06:15:00Z")[0] == 0
    assert day.audit("outages")[0] == 0


def test_what_filters_a_question_may_stand_before_or_after_it(day: Host) -> None:
    for words in (["--network", "office", "outages"], ["outages", "--network", "office"]):
        assert day.audit(*words)[1] == ["no outages"]
    assert day.audit("--since", "2026-03-01T07:00:00Z", "who")[1] == ["no orders"]


@pytest.mark.parametrize(
    "words", [["--event", "offline", "outages"], ["--last", "2", "who"], ["--since", "2h", "verify"]]
)
def test_what_a_question_would_not_heed_is_refused(day: Host, words: list[str]) -> None:
    with pytest.raises(Misused) as refused:
        day.audit(*words)

    assert refused.value.problem == (
        f"docker-proxy-agent audit {words[-1]}: no such option here: {words[0]}; leave it out. "
        f"See: docker-proxy-agent audit {words[-1]} --help"
    )


@pytest.mark.parametrize(
    ("name", "seqs"), [("alice", [8, 9]), ("1000", [8, 9]), ("control", [8, 9]), ("0", []), ("bob", [])]
)
def test_by_is_who_logged_in(day: Host, name: str, seqs: list[int]) -> None:
    passwd = day.paths.below("/etc/passwd")
    passwd.parent.mkdir(parents=True, exist_ok=True)
    passwd.write_text("bob:x:0:0::/root:/bin/sh\n")

    assert numbers(day.audit("--json", "--by", name)[1]) == seqs
    assert (day.audit("who", "--by", name)[1] == ["no orders"]) is not bool(seqs)


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        pytest.param(["--upstream", "direct"], [3, 4, 5, 6, 7], id="upstream-and-what-came-of-it"),
        pytest.param(["--pass", "p2"], [2, 3, 4, 5], id="pass"),
        pytest.param(["--boot", "b"], [*range(1, 11)], id="boot"),
        pytest.param(["--boot", "c"], [], id="another-boot"),
        pytest.param(["--boot", "-1"], [*range(1, 11)], id="the-last-boot"),
        pytest.param(["--boot", "0"], [], id="this-boot"),
        pytest.param(["--target", "daemon.json"], [11], id="target"),
        pytest.param(["--target", "/etc/docker/daemon.json"], [11], id="target-whole"),
        pytest.param(["--target", "/daemon.json"], [], id="target-is-no-end-of-a-path"),
        pytest.param(["--target", "mon.json"], [], id="target-is-no-end-of-a-name"),
    ],
)
def test_of_a_day_only_the_records_that_are_asked_for_are_printed(day: Host, words: list[str], seqs: list[int]) -> None:
    if "--target" in words:
        day.write(Event.SETTINGS_WRITTEN, targets=["/etc/docker/daemon.json"])

    assert numbers(day.audit("--json", *words)[1]) == seqs


def test_a_boot_that_the_log_does_not_know_is_said(day: Host) -> None:
    with pytest.raises(AgentError, match=r"--boot -7: the log has records of 2 boots\. Use 0 to -1"):
        day.audit("--boot", "-7")


def test_what_comes_is_followed_into_the_next_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log/audit.jsonl", tmp_path / "state", max_bytes=20_000)
    coming = followed(tmp_path / "log/audit.jsonl")
    assert next(coming) is None

    def written(count: int) -> list[int]:
        for _ in range(count):
            log.append(Event.OFFLINE, "timer", "", {"because": "x" * 200})
        lines = iter(coming.__next__, None)
        return [entry.seq for line in lines if (entry := line.decoded())]

    assert written(2) == [1, 2]
    assert written(0) == []
    assert [seq for _ in range(20) for seq in written(1)] == [*range(3, 23)]
    assert len(full_files(tmp_path / "log/audit.jsonl")) > 1


def test_a_line_that_is_being_written_is_not_read_in_half(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"whole\nha")
    coming = followed(path)

    assert [line.raw for line in iter(coming.__next__, None)] == [b"whole\n"]
    with path.open("ab") as stream:
        stream.write(b"lf\n")
    assert [line.raw for line in iter(coming.__next__, None)] == [b"half\n"]


def test_who_follows_and_stood_still_while_files_became_full_misses_none(tmp_path: Path) -> None:
    path = tmp_path / "log/audit.jsonl"
    log = AuditLog(path, tmp_path / "state", max_bytes=10_000)
    log.append(Event.OFFLINE, "test", "", {})
    coming = followed(path)
    seen = list(iter(coming.__next__, None))

    for _ in range(2):
        for _ in range(7):
            log.append(Event.OFFLINE, "test", "", {"previous_network": "x" * 100})
        seen += iter(coming.__next__, None)

    assert len(full_files(path)) > 2
    assert [entry.seq for line in seen if (entry := line.decoded())] == [*range(1, 16)]


def test_follow_shows_the_last_ones_and_then_those_that_come(day: Host) -> None:
    code = "import sys; from agent.cli import main; sys.exit(main())"
    words = ["--root", str(day.paths.root), "audit", "--follow", "--last", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC"}
    ) as following:
        try:
            assert b"agent-stopped" in line_of(following)
            day.at("08:00:00").write(Event.OFFLINE)
            assert line_of(following).startswith(b"2026-03-01 08:00:00  offline")
            following.send_signal(signal.SIGINT)
            assert following.wait(timeout=30) == 130
        finally:
            following.kill()


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0], "nothing within 30 s"
    return process.stdout.readline()


def numbers(lines: list[str]) -> list[int]:
    return [json.loads(line)["seq"] for line in lines]

"""A day of roaming, put before an auditor: the lines of docs/audit.md, run on its log, say what the lab knows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.audit.account import Account
from agent.audit.heads import heads
from agent.audit.ran import RanWith
from agent.audit.spans import Known, Lane, Order, Outage, Span
from agent.audit.verify import verify
from tests.pages import blocks
from tests.records import wrong_in_facts

from .day import AGENT, NO_PROXY, OTHERS
from .day_known import (
    AT_ONCE_S,
    DOWN,
    NOT_KNOWN,
    REPOSITORY,
    ROUNDED_S,
    WITHIN_S,
    Day,
    moment,
    outages_of,
    restarts_of,
    until,
    wrong_about,
)

DOCUMENT: Final = (REPOSITORY / "docs/audit.md").read_text()
COMMAND: Final = "sudo docker-proxy-agent audit --json"


def line_about(question: str) -> str:
    """The one that follows these words in the document."""
    (after,) = DOCUMENT.split(f"\n{question}")[1:]
    block: str = after.split("```sh\n")[1].split("```")[0]
    assert COMMAND in block
    return block


WHO: Final = line_about("Who changed what, when.")
WHY: Final = line_about("Why a restart of Docker was due,")
RAN: Final = line_about("What Docker ran with at any second:")
DIRECT_AT_OFFICE: Final = line_about("Every time that Docker was direct in the network")
OUTAGES: Final = line_about("Each outage:")
ORDERS: Final = line_about("Every order by a person:")
MISSING: Final = line_about("Which records are missing,")
BEHIND_THE_RELAY: Final = line_about("Docker is given the relay from")


def asked(day: Day, question: str, log: Path | None = None) -> list[list[str]]:
    """What a line of the document prints: cells, by line."""
    if shutil.which("jq") is None and not os.environ.get("CI"):
        pytest.skip("no jq here")
    line = question.replace(COMMAND, f"cat {log or day.log}")
    done = subprocess.run(["sh", "-euc", line], check=False, capture_output=True, text=True, timeout=WITHIN_S)
    assert done.returncode == 0, done.stderr
    return [row.split("\t") for row in done.stdout.splitlines()]


@pytest.mark.long  # it plays the day, for which all others would wait at the same time
def test_the_day_is_one(day: Day) -> None:
    places = [note["where"] for note in day.lab.notes("place")]

    assert len(places) >= 15
    assert [life.is_killed for life in day.lives].count(True) == 2
    assert {record["event"] for record in day.records()} >= {
        *("drift-corrected", "docker-stopped", "restart-deferred", "restart-dropped", "rolled-back", "offline"),
        *("policy-rejected", "unreachable-began", "paused", "pinned", "log-recovered"),
    }
    for record in day.records():
        assert wrong_in_facts(record["event"], record["facts"]) == []
    assert "target-failed" not in {record["event"] for record in day.records()}


def test_what_docker_ran_with_at_any_second(day: Day) -> None:
    rows = [(moment(at), json.loads(runs) if runs.startswith("{") else runs) for at, _, runs in asked(day, RAN)]
    assert wrong_about(day, rows) == []


def test_who_started_docker(day: Day) -> None:
    told = [
        (record["facts"]["invocation"], record["facts"]["cause"])
        for record in day.records()
        if record["event"] == "docker-started"
    ]
    lives = [ran for ran in day.docker if ran.runs != DOWN and day.life_at(ran.at)]
    since = [ran for ran in lives if ran.at < day.deleted_at][-1]  # that runs on, and is told once more
    starts = [(ran.start, "agent" if ran.by == AGENT else "others") for ran in lives if ran.at >= since.at]
    assert list(dict.fromkeys(told)) == starts


def test_who_changed_what_and_when(day: Day) -> None:
    rows = [(moment(at), who, what, targets.split()) for at, who, what, targets in asked(day, WHO)]
    acts = [act for act in day.acts if act.changed and act.began > day.deleted_at]
    edits = day.lab.notes("edited")

    for act in acts:
        changed = {file for at, _, what, files in rows if act.began <= at <= act.ended for file in files}
        by = {who for at, who, _, _ in rows if act.began <= at <= act.ended and who != OTHERS}
        assert (by, changed) == ({act.by}, set(act.changed))
    others = [(at, targets) for at, who, _, targets in rows if who == OTHERS]
    assert [targets for _, targets in others] == [[edit["file"]] for edit in edits]
    assert [int(at) for at, _ in others] == [int(edit["at"]) for edit in edits]
    in_vain = [[what for at, _, what, _ in rows if act.began <= at <= act.ended] for act in day.acts if not act.changed]
    assert [whats for whats in in_vain if whats] == [["written", "rolled-back"]]
    assert len(rows) == len([at for at, who, _, _ in rows if who == OTHERS or day.life_at(at)])


def test_why_a_restart_was_due_and_why_then(day: Day) -> None:
    rows = [(moment(at), event, due, why) for at, event, due, why in asked(day, WHY)]
    waits = [note["why"] for note in day.lab.notes("waits")]
    told = [why for _, event, _, why in rows if event == "restart-deferred"]
    assert len(told) == len(waits)
    assert [why for why, wait in zip(told, waits, strict=True) if wait not in why] == []
    restarts = list(restarts_of(day))
    whys = [(due, why) for _, event, due, why in rows if event == "docker-restarted"]
    assert len(whys) == len(restarts)
    for (due, why), (before, after, act) in zip(whys, restarts, strict=True):
        assert due.startswith(f"Docker runs with {named(before.runs)}, but should run with {named(after.runs)}")
        if any(act.began <= order["at"] <= act.ended and "is_now" in order["wish"] for order in day.lab.notes("order")):
            assert why == "requested with --now"
        else:
            assert why.startswith(f"{act.containers} containers run" if act.containers else "no container runs")


def named(runs: Any) -> str:
    return "direct" if runs == {"direct": True} else str(runs["http"])


def test_every_second_that_docker_was_direct_at_the_office(day: Day) -> None:
    told = [(moment(since), moment(to)) for since, to in asked(day, DIRECT_AT_OFFICE)]
    known_since = min(moment(at) for at, _, _ in asked(day, RAN))  # the first record after the deletion that says it
    spans = [span for span in direct_at_the_office(day) if span[0] > known_since]

    assert len(told) == len(spans), (told, spans)
    for (since, to), (began, ended) in zip(told, spans, strict=True):
        assert began - AT_ONCE_S <= since <= until(day, began)
        (life,) = [life for life in day.lives if life.began <= since <= life.ended]
        # What an agent that is gone by then has recorded last is known.
        earliest = min(ended, max(act.began for act in day.acts if act.began <= life.ended))
        assert earliest - AT_ONCE_S <= to <= until(day, ended)
    assert max(ended - began for began, ended in spans) > 0.3


def direct_at_the_office(day: Day) -> Iterator[tuple[float, float]]:
    """While an agent ran."""
    places = [(note["at"], note["where"]) for note in day.lab.notes("place")]
    times = sorted(
        {*(at for at, _ in places), *(ran.at for ran in day.docker)}
        | {at for life in day.lives for at in (life.began, life.ended)}
    )
    since: float | None = None
    for at in times:
        life = day.life_at(at)
        is_there = [where for since_then, where in places if since_then <= at][-1:] == ["office"]
        is_direct = [ran.runs for ran in day.docker if ran.at <= at][-1:] == [{"direct": True}]
        is_so = is_there and is_direct and life is not None and at < life.ended
        if is_so and since is None:
            since = at
        elif not is_so and since is not None:
            yield since, at
            since = None


def test_each_outage_its_length_and_its_end(day: Day) -> None:
    rows = [(moment(since), to, lasted, because) for since, to, lasted, because in asked(day, OUTAGES)]
    outages = list(outages_of(day))

    assert len(rows) == len(outages), (rows, outages)
    for (since, to, lasted, _), (began, ended) in zip(rows, outages, strict=True):
        assert began <= since <= until(day, began)
        assert ended <= moment(to) <= until(day, ended)
        assert ended - until(day, began) - ROUNDED_S <= float(lasted) <= until(day, ended) - began + ROUNDED_S


def test_every_order_is_told_with_who_gave_it(day: Day) -> None:
    events = {"pin": "pinned", "unpin": "unpinned", "pause": "paused", "resume": "resumed"}
    rows = [(moment(at), event, who) for at, event, _, who in asked(day, ORDERS)]
    orders = [order for order in day.lab.notes("order") if order["at"] > day.deleted_at]
    assert [(event, who) for _, event, who in rows] == [
        (events.get(order["command"], "requested"), order["by"]) for order in orders
    ]
    for (at, _, _), order in zip(rows, orders, strict=True):
        assert order["at"] <= at <= until(day, order["at"])


def test_how_each_agent_ended_and_what_policy_it_had(day: Day) -> None:
    lives = [life for life in day.lives if life.began > day.deleted_at]
    before = [life for life in day.lives if life.ended < lives[-1].ended]
    started = [record["facts"] for record in day.records() if record["event"] == "agent-started"]
    assert [facts["last_ended"] for facts in started] == [
        "was killed, or crashed" if life.is_killed else "told to stop" for life in before
    ]
    news = [
        (record["event"], record["facts"].get("because", ""), record["facts"].get("diff"))
        for record in day.records()
        if record["event"].startswith("policy-") and record["facts"].get("because") != "the agent started"
    ]
    assert news == [
        ("policy-rejected", "", None),
        ("policy-loaded", "it is fixed", []),
        ("policy-loaded", "it changed", [
            '-network.1.use = ["corp", "backup", "direct"]',
            '+network.1.use = ["corp", "backup"]',
        ]),
    ]  # fmt: skip


def log_of(path: Path, *records: tuple[str, dict[str, Any]]) -> Path:
    """Of records that follow each other by a second."""
    lines = [
        {"v": 2, "ts": f"2026-03-01T09:00:{seq:02}.000000Z", "seq": seq, "event": event, "facts": facts}
        for seq, (event, facts) in enumerate(records, start=1)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


BEGAN: Final = ("unreachable-began", {"since": "2026-03-01T08:59:59.500000Z"})


@pytest.mark.parametrize(
    ("after", "told"),
    [
        pytest.param([], ["it goes on"], id="now"),
        pytest.param(
            [("agent-started", {"last_ended": "was killed, or crashed"})],
            ["not known: the agent was killed, or crashed"],
            id="killed",
        ),
        pytest.param(
            [("agent-stopped", {}), BEGAN, ("unreachable-ended", {"lasted_s": 2.5, "because": "it works"})],
            ["not known: records are missing", "it works"],
            id="no-end-in-the-log",
        ),
    ],
)
def test_an_outage_whose_end_nobody_saw_has_none(
    day: Day, tmp_path: Path, after: list[tuple[str, dict[str, Any]]], told: list[str]
) -> None:
    rows = asked(day, OUTAGES, log_of(tmp_path / "audit.jsonl", BEGAN, *after))

    assert [because for *_, because in rows] == told
    assert [since for since, *_ in rows] == [BEGAN[1]["since"]] * len(told)


OLD: Final = """\
{"ts":"2026-01-01T09:00:00.000000Z","seq":1,"boot_id":"b","pass":"","event":"agent-started","trigger":"service","facts":{"version":"1","before":"was killed"},"prev":"0","hash":"1"}
{"ts":"2026-01-01T09:00:01.000000Z","seq":2,"boot_id":"b","pass":"1","event":"settings-written","trigger":"start","facts":{"method":"daemon-json"},"prev":"1","hash":"2"}
{"ts":"2026-01-01T09:00:02.000000Z","seq":3,"boot_id":"b","pass":"1","event":"docker-restarted","trigger":"start","facts":{"took_s":0.7,"settings":{"proxy":"direct"},"because":"no container runs"},"prev":"2","hash":"3"}
{"ts":"2026-01-01T09:00:03.000000Z","seq":4,"boot_id":"b","pass":"1","event":"drift-corrected","trigger":"start","facts":{"target":"/etc/docker/daemon.json"},"prev":"3","hash":"4"}
"""  # noqa: E501 - lines of a log


@pytest.mark.parametrize("question", [WHO, WHY, RAN, DIRECT_AT_OFFICE, OUTAGES, ORDERS])
def test_records_of_the_first_schema_are_left_out(day: Day, tmp_path: Path, question: str) -> None:
    both = tmp_path / "audit.jsonl"
    both.write_text(OLD + day.log.read_text())

    assert asked(day, question, both) == asked(day, question)


def test_records_of_the_first_schema_are_not_missing(day: Day, tmp_path: Path) -> None:
    old = tmp_path / "audit.jsonl"
    old.write_text(OLD)

    assert asked(day, MISSING, old) == []


def test_whether_anything_is_missing(day: Day, tmp_path: Path) -> None:
    (first, last, because), (number, _, missed) = asked(day, MISSING)
    assert number == "none"
    assert missed.startswith("1 could not be written since ")
    assert (int(first), int(last)) == (1, day.deleted)
    assert because == f"records 1 to {day.deleted} are missing, says the anchor"
    found = verify(day.log, day.paths.state)
    assert found.broken is not None
    assert found.broken.seq == 1

    lines = day.log.read_bytes().splitlines(keepends=True)
    seq = str(json.loads(lines[7])["seq"])
    without = tmp_path / "audit.jsonl"
    without.write_bytes(b"".join(lines[:7] + lines[8:]))
    assert [row[:2] for row in asked(day, MISSING, without)] == [[first, last], [seq, seq], ["none", "none"]]


def test_what_was_behind_the_relay(day: Day, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    facts = {"network": "office", "upstream": "corp-proxy", "generation": 7}
    switched = {"ts": "2026-03-01T09:12:04Z", "event": "relay-switched", "facts": facts}
    log.write_text(f"{json.dumps(switched)}\n{json.dumps(switched | {'event': 'relay-enabled'})}\n")

    assert asked(day, BEHIND_THE_RELAY, log) == [["2026-03-01T09:12:04Z", "office", "corp-proxy", "7"]]


def test_every_line_of_the_document_is_asked() -> None:
    lines = {block for block in blocks(DOCUMENT, "sh") if COMMAND in block}

    assert lines == {WHO, WHY, RAN, DIRECT_AT_OFFICE, BEHIND_THE_RELAY, OUTAGES, ORDERS, MISSING}


def test_the_account_of_the_commands_says_the_same(day: Day) -> None:
    account = Account()
    told = [one for head in heads(day.log) for one in account.take(head)]
    told += account.now()

    docker = [one for one in told if isinstance(one, Span) and one.lane is Lane.DOCKER]
    assert wrong_about(day, [(span.begin.timestamp(), ran(span)) for span in sorted(docker, key=begin)]) == []
    outages = [one for one in told if isinstance(one, Outage)]
    assert [(one.begin.timestamp(), one.lasted_s) for one in outages] == [
        (moment(since), float(lasted)) for since, _, lasted, _ in asked(day, OUTAGES)
    ]
    orders = [one for one in told if isinstance(one, Order)]
    assert [(one.at.timestamp(), one.event) for one in orders] == [
        (moment(at), event) for at, event, *_ in asked(day, ORDERS)
    ]


def test_the_list_of_what_docker_ran_with_is_the_same_and_without_a_gap(day: Day) -> None:
    account, told = Account(), RanWith()
    for head in heads(day.log):
        told.note(head)
        told.take(account.take(head))
    told.take(account.now())
    rows = [*told.rows()]

    assert [before.end for before in rows[:-1]] == [after.begin for after in rows[1:]]
    places = [(note["at"], note["where"]) for note in day.lab.notes("place")]
    for row in rows:
        assert row.end is None or row.begin < row.end
        if row.network is not None and row.end is not None:
            here = [where for at, where in places if at <= row.end.timestamp()]
            assert row.network.replace("offline", "nowhere") in here[-3:]  # the agent is told a little later
    known = [(row.begin.timestamp(), row.runs) for row in rows]
    assert wrong_about(day, [(at, shown(runs)) for at, runs in known]) == []


def shown(runs: str | None) -> Any:
    if runs in (None, "did not run"):
        return NOT_KNOWN if runs is None else DOWN
    return (
        {"direct": True}
        if runs == "direct"
        else {"http": runs, "https": runs, "no_proxy": ",".join(sorted(NO_PROXY.split(",")))}
    )


def begin(span: Span) -> float:
    return span.begin.timestamp()


def ran(span: Span) -> Any:
    if span.known is not Known.SEEN:
        return NOT_KNOWN
    return DOWN if span.settings is None else dict(span.settings)

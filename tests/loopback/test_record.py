"""What a pass says about itself reaches the audit log and the log, the same in both."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from agent.audit import logs
from agent.audit.about_the_log import Recovered, Trimmed
from agent.audit.log import AuditLog
from agent.audit.record import RESERVED, Record
from agent.values.events import (
    FACTS,
    ApplyStarted,
    DockerRestarted,
    Facts,
    NetworkChanged,
    SettingsRolledBack,
    TargetNotWritten,
    Unpinned,
    UpstreamChosen,
    WentOffline,
    judged,
)
from agent.values.settings import DIRECT, settings
from agent.values.verdict import Outcome, Timings, Verdict


class Writing:
    """A record, and what became of it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "log" / "audit.jsonl"
        self.record = Record(AuditLog(self.path, root / "state"))
        self.stream = io.StringIO()

    @property
    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    root.handlers.clear()
    made = Writing(tmp_path)
    logs.configure(form=logs.Form.JSON, stream=made.stream)
    yield made
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def test_the_journal_has_what_the_audit_log_says_of_itself(writing: Writing) -> None:
    writing.record(WentOffline(previous_network="office"))
    writing.path.unlink()

    writing.record(Unpinned(upstream="direct", because="requested"))

    assert [(line["event"], line["audit_seq"], line["audit_hash"]) for line in writing.logged][1:] == [
        (record["event"], record["seq"], record["hash"]) for record in writing.audited
    ]
    assert [line["event"] for line in writing.logged] == ["offline", "log-recovered", "unpinned"]
    assert writing.logged[1]["because"] == "records 1 to 1 are missing, says the anchor"


def test_both_have_the_same_event_and_facts_and_the_log_anchors_the_record(writing: Writing) -> None:
    record = writing.record.for_pass("p7", "netlink")

    verdicts = {"corp": Verdict(Outcome.OK, timings=Timings(total=84.12)), "direct": Verdict(Outcome.DNS, "no name")}
    record(UpstreamChosen(network="office", upstream="corp", because="it works", verdicts=judged(verdicts)))
    record(ApplyStarted(settings=settings("http://al:secret@proxy:3128"), effective=DIRECT, targets=("x",)))

    [audited, applied], [logged, _] = writing.audited, writing.logged
    facts = {
        "network": "office",
        "upstream": "corp",
        "because": "it works",
        "verdicts": [
            {"upstream": "corp", "verdict": "ok", "ms": 84.1},
            {"upstream": "direct", "verdict": "dns", "ms": 0.0, "evidence": "no name"},
        ],
    }
    assert sorted(audited["facts"]) == sorted(facts)
    assert audited["facts"] == facts
    assert applied["facts"]["settings"] == {"http": "http://•••@proxy:3128"}
    assert applied["facts"]["effective"] == {"direct": True}
    assert {name: logged[name] for name in facts} == facts
    for name in ("event", "pass", "trigger"):
        assert audited[name] == logged[name]
    assert (logged["audit_seq"], logged["audit_hash"]) == (audited["seq"], audited["hash"])
    assert list(logged)[:3] == ["ts", "level", "event"]


def test_it_is_on_disk_before_the_call_returns(writing: Writing) -> None:
    writing.record(ApplyStarted(targets=("/etc/docker/daemon.json",)))

    assert [record["event"] for record in writing.audited] == ["apply-started"]


def test_how_much_it_matters_is_in_the_log_and_in_the_record(writing: Writing) -> None:
    writing.record(WentOffline(previous_network="office"))
    writing.record(Unpinned(upstream="office", because="requested"))
    writing.record(TargetNotWritten(error="a full disk"))
    writing.record(SettingsRolledBack(unit="docker.service", because="dockerd did not come up", started_again=()))

    assert [line["level"] for line in writing.logged] == ["info", "info", "warning", "error"]
    assert [record["severity"] for record in writing.audited] == ["info", "notice", "warning", "err"]


def test_a_pass_goes_on_without_an_audit_log_and_says_so(writing: Writing) -> None:
    writing.path.parent.write_text("no folder")
    record = writing.record.for_pass("p1", "timer")

    record(DockerRestarted(unit="docker.service", due="asked for"))

    [logged] = writing.logged
    assert (logged["event"], logged["due"], logged["audit"]) == ("docker-restarted", "asked for", "unwritable")
    assert "audit_seq" not in logged
    assert str(writing.path.parent) in record.problem
    assert writing.record.problem  # the condition is the log's, not one pass's


def test_the_condition_ends_when_the_log_can_be_written_again(writing: Writing) -> None:
    writing.path.parent.write_text("no folder")
    writing.record(WentOffline())
    writing.path.parent.unlink()

    writing.record(NetworkChanged(network="home", fingerprint="f", because="the first that matches"))

    assert not writing.record.problem
    assert [record["event"] for record in writing.audited] == ["log-recovered", "network-changed"]
    assert writing.logged[-1]["audit_seq"] == 2


def test_a_fact_of_a_type_that_nobody_decided_about_is_refused_before_anything_is_written(writing: Writing) -> None:
    with pytest.raises(TypeError, match="object is not a fact"):
        writing.record(WentOffline(previous_network=object()))  # type: ignore[arg-type]

    assert not writing.path.exists()
    assert writing.logged == []


@pytest.mark.parametrize("kind", [*FACTS.values(), Recovered, Trimmed])
def test_a_fact_does_not_take_the_name_of_something_else(kind: type[Facts]) -> None:
    assert {"event", "pass", "audit_hash", "level"} <= RESERVED
    assert not RESERVED & {*kind.__struct_fields__}

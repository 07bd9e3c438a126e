"""The records of a real log, with no more decoded than has to be."""

from __future__ import annotations

from pathlib import Path

from agent.audit.files import full_files
from agent.audit.heads import heads
from agent.audit.log import AuditLog
from agent.audit.read import Legible, records
from agent.values.asker import Asker, Via
from agent.values.events import Event
from agent.values.paths import Paths


def test_they_are_the_records_of_all_files_and_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    log = AuditLog(paths.audit_log, paths.state, max_bytes=20_000)
    for number in range(12):
        log.append(Event.NETWORK_CHANGED, "timer", "p", {"network": f"{number}" * 200}, by=Asker(Via.CONTROL, uid=7))
    with paths.audit_log.open("ab") as stream:
        stream.write(b'{"seq":"five"}\n[[[\n\xff\n{"ts":"torn')

    found = [*heads(paths.audit_log)]

    assert len(full_files(paths.audit_log)) >= 2
    assert found[-1].event == Event.NETWORK_CHANGED.value
    whole = [one.entry for one in records(paths.audit_log) if isinstance(one, Legible)]
    assert [(one.seq, one.ts, one.pass_id, one.by, one.facts_of_today()) for one in found] == [
        (one.seq, one.ts, one.pass_id, one.by, one.facts) for one in whole
    ]


def test_without_a_log_there_are_none(tmp_path: Path) -> None:
    assert [*heads(Paths(tmp_path).audit_log)] == []

"""What is done before a pass, on real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.one_pass.memory import Memory
from agent.service.failures import Failures
from agent.service.passes import Passes
from agent.service.unfinished import Unfinished
from agent.values.errors import TargetFailed
from agent.values.policy import Policy


class FullDisk(Memory):
    """Forgets nothing while the disk is full."""

    is_full = True

    def forgive(self) -> None:
        if self.is_full:
            raise TargetFailed("/var/lib/docker-proxy-agent", "No space left on device")
        super().forgive()


@pytest.mark.parametrize("policy", [None, Policy()], ids=["without-a-policy", "with-one"])
def test_what_could_not_be_tried_again_once_is_no_failure_for_ever(tmp_path: Path, policy: Policy | None) -> None:
    record = Record(AuditLog(tmp_path / "audit.jsonl", tmp_path), "1", "test")
    failures, memory = Failures(tmp_path / "config.toml", record), FullDisk(tmp_path)
    passes = Passes(memory, failures, Unfinished(failures, record))
    passes.lay_down([], policy, record, is_reload=True)
    assert "No space left" in failures.lines[0]

    memory.is_full = False
    passes.lay_down([], policy, record)

    assert failures.lines == ()

"""Counts outlive the agent: what was recorded is counted once, also if whoever recorded it was killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.audit.counters import Counted, Counters, Noted, cause_of
from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.values.asker import Asker, Via
from agent.values.dockerd import Cause
from agent.values.events import (
    AgentStarted,
    DockerRestarted,
    DockerStarted,
    DriftCorrected,
    Event,
    Facts,
    RestartDeferred,
    RestartDropped,
    SettingsRolledBack,
    UnreachableEnded,
)
from agent.values.settings import DIRECT

DOCKER = "docker.service"
RESTARTED = DockerRestarted(unit=DOCKER, due="x")
ROLLED_BACK = SettingsRolledBack(unit=DOCKER, because="x", started_again=())
STARTED = DockerStarted(unit=DOCKER, cause=Cause.OTHERS, effective=DIRECT, invocation="a")
DEFERRED = RestartDeferred(unit=DOCKER, due="x", waits="y")
BEGINS = AgentStarted(version="1", unit=DOCKER, effective=None)
CORRECTED = DriftCorrected(targets=("/x",), password_before=None, password_after=None)


class Machine:
    """A log and a state directory, and agents that come and go."""

    def __init__(self, folder: Path, max_bytes: int = 100_000_000) -> None:
        self.log, self.state, self._max_bytes = folder / "log/audit.jsonl", folder / "state", max_bytes

    def agent(self) -> Record:
        return Record(self._audit_log(), "1", "network")

    def record_unnoticed(self, event: Event, trigger: str = "network", **facts: str | float) -> None:
        """By an agent that is killed before it has counted it."""
        self._audit_log().append(event, trigger, "1", facts)

    def _audit_log(self) -> AuditLog:
        return AuditLog(self.log, self.state, max_bytes=self._max_bytes)

    @property
    def counted(self) -> Counted:
        """As the next agent finds it."""
        return Counters(self.log, self.state).now


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("records", "of_it"),
    [
        pytest.param([RESTARTED, RESTARTED], lambda now: now.restarts == {"network": 2}, id="restarts"),
        pytest.param([ROLLED_BACK], lambda now: now.rollbacks == 1, id="roll-back"),
        pytest.param([STARTED], lambda now: now.starts_by_others == 1, id="others"),
        pytest.param([CORRECTED], lambda now: now.corrections == 1, id="drift"),
        pytest.param(
            [UnreachableEnded(lasted_s=3.5, because="x"), UnreachableEnded(lasted_s=4, because="x")],
            lambda now: now.unreachable_s == 7.5,
            id="outages",
        ),
        pytest.param([DEFERRED], lambda now: now.deferred_since != "", id="deferred"),
        pytest.param([DEFERRED, RESTARTED], lambda now: now.deferred_since == "", id="restarted"),
        pytest.param([DEFERRED, ROLLED_BACK], lambda now: now.deferred_since == "", id="rolled-back"),
        pytest.param([DEFERRED, STARTED], lambda now: now.deferred_since == "", id="started-by-others"),
        pytest.param(
            [DEFERRED, RestartDropped(unit=DOCKER, because="x")], lambda now: now.deferred_since == "", id="dropped"
        ),
    ],
)
def test_each_record_is_counted_once_and_the_next_agent_knows(
    machine: Machine, records: list[Facts], of_it: Callable[[Counted], bool]
) -> None:
    agent = machine.agent()
    agent(BEGINS)
    for facts in records:
        agent(facts)

    assert of_it(machine.counted)
    assert agent.so_far.counters is not None
    assert agent.so_far.counters.now == machine.counted


@pytest.mark.parametrize("comes_next", ["a-look", "a-record"])
def test_what_an_agent_recorded_and_did_not_live_to_count_is_counted_by_the_next(
    machine: Machine, comes_next: str
) -> None:
    machine.agent()(RESTARTED)
    machine.record_unnoticed(Event.DOCKER_RESTARTED, "timer network")
    machine.record_unnoticed(Event.UNREACHABLE_ENDED, lasted_s=2.5)
    machine.record_unnoticed(Event.NETWORK_CHANGED, network="office")

    if comes_next == "a-record":
        machine.agent()(RESTARTED)

    once_more = 1 if comes_next == "a-record" else 0
    assert machine.counted.restarts == {"network": 2 + once_more}
    assert machine.counted.unreachable_s == 2.5
    assert machine.counted == machine.counted


def test_what_is_in_full_files_is_counted_and_older_ones_are_not_opened(tmp_path: Path) -> None:
    machine = Machine(tmp_path, max_bytes=20_000)
    for _ in range(5):
        machine.record_unnoticed(Event.DOCKER_RESTARTED, padding="x" * 1500)
    machine.agent()(RESTARTED)
    assert machine.counted.restarts == {"network": 1}  # from the first count on
    for _ in range(5):
        machine.record_unnoticed(Event.DOCKER_RESTARTED, padding="x" * 1500)
    full = sorted(machine.log.parent.glob("audit-*.jsonl"))
    assert len(full) > 2
    full[0].unlink()
    full[0].mkdir()  # who opens it fails, and counts nothing

    assert machine.counted.restarts == {"network": 6}


def test_an_outage_that_an_agent_did_not_live_to_see_the_end_of_counts_as_far_as_it_was_seen(machine: Machine) -> None:
    killed = machine.agent()
    killed(BEGINS)
    assert killed.so_far.counters is not None
    for seconds in (5.0, 60.0, 90.0, 120.5):
        killed.so_far.counters.note_open(seconds)

    machine.agent()(BEGINS)

    assert (machine.counted.unreachable_s, machine.counted.open_s) == (120.5, 0.0)


def test_an_outage_never_counts_less_than_was_shown(machine: Machine) -> None:
    agent = machine.agent()
    agent(BEGINS)
    assert agent.so_far.counters is not None
    agent.so_far.counters.note_open(100.0)
    agent.so_far.counters.note_open(0.0)
    assert agent.so_far.counters.now.open_s == 100.0

    agent(UnreachableEnded(lasted_s=99.9, because="x"))

    assert machine.counted.unreachable_s == 100.0


def test_what_the_log_cannot_take_is_counted_all_the_same(machine: Machine) -> None:
    agent = machine.agent()
    agent(BEGINS)
    machine.log.unlink()
    machine.log.mkdir()

    agent(RESTARTED)

    assert machine.counted.restarts == {"network": 1}


def test_counts_that_are_damaged_begin_anew(machine: Machine) -> None:
    machine.agent()(RESTARTED)
    (machine.state / "counters.json").write_text("{")
    machine.agent()(RESTARTED)

    assert machine.counted.restarts == {"network": 1}


@pytest.mark.parametrize(
    ("trigger", "is_asked", "cause"),
    [
        ("network", False, "network"),
        ("resume timer", False, "network"),
        ("files network", False, "network"),
        ("files", False, "files"),
        ("timer", False, "other"),
        ("start", False, "other"),
        ("network request", True, "person"),
        ("apply", True, "person"),
    ],
)
def test_what_made_the_agent_look_is_the_cause(trigger: str, is_asked: bool, cause: str) -> None:
    assert cause_of(Noted(event="x", facts={}, trigger=trigger, is_asked=is_asked, at="")) == cause


def test_what_a_person_asked_for_is_theirs(machine: Machine) -> None:
    machine.agent().for_pass("2", "apply", by=Asker(Via.COMMAND, uid=0))(RESTARTED)

    assert machine.counted.restarts == {"person": 1}

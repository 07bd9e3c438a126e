"""What the records say of Docker outlives the agent that wrote them, as far as the next one needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.audit.so_far import SoFar
from agent.values.dockerd import Cause
from agent.values.events import (
    AgentStarted,
    DockerRestarted,
    DockerStarted,
    Facts,
    RestartDeferred,
    RestartDropped,
    SettingsRolledBack,
)
from agent.values.settings import DIRECT

DOCKER, SNAP = "docker.service", "snap.docker.dockerd.service"
OURS = DockerStarted(unit=DOCKER, cause=Cause.AGENT, effective=DIRECT, invocation="a")
WAITS = RestartDeferred(unit=DOCKER, due="x", waits="y")


def begun(invocation: str = "a") -> AgentStarted:
    return AgentStarted(version="1", unit=DOCKER, effective=DIRECT, invocation=invocation)


def noted(state: Path, *records: Facts) -> SoFar:
    so_far = SoFar(state)
    for facts in records:
        so_far.note(facts)
    return so_far


@pytest.mark.parametrize(
    ("after", "waits"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param([begun()], True, id="the-same-start"),
        pytest.param([begun("b")], False, id="another-start-has-read-what-waited"),
        pytest.param([AgentStarted(version="1", unit=DOCKER, effective=None)], True, id="docker-is-down"),
        pytest.param([OURS], True, id="the-same-start-told-once-more"),
        pytest.param([DockerRestarted(unit=DOCKER, due="x")], False, id="restarted"),
        pytest.param([SettingsRolledBack(unit=DOCKER, because="x", started_again=())], False, id="rolled-back"),
        pytest.param([RestartDropped(unit=DOCKER, because="x")], False, id="dropped"),
        pytest.param([RestartDropped(unit=SNAP, because="x")], True, id="of-another-docker"),
    ],
)
def test_a_restart_that_waits_outlives_the_agent(tmp_path: Path, after: list[Facts], waits: bool) -> None:
    noted(tmp_path, OURS, WAITS)
    noted(tmp_path, *after)

    assert SoFar(tmp_path).of(DOCKER).restart_waits is waits
    assert not SoFar(tmp_path).of(SNAP).restart_waits


def test_who_made_a_start_outlives_the_agent_but_not_that_it_was_told(tmp_path: Path) -> None:
    noted(tmp_path, OURS, begun())

    so_far = SoFar(tmp_path)

    assert (so_far.of(DOCKER).start, so_far.of(DOCKER).cause) == ("a", Cause.AGENT)
    assert not so_far.says_start(DOCKER, "a")
    assert not so_far.says_down(DOCKER)
    assert noted(tmp_path, begun("b")).of(DOCKER).cause is None  # nobody saw who started it


def test_what_was_kept_and_is_damaged_is_written_anew(tmp_path: Path) -> None:
    noted(tmp_path, OURS, WAITS)
    (tmp_path / "docker-recorded.json").write_text("{")

    so_far = noted(tmp_path, OURS)

    assert not so_far.of(DOCKER).restart_waits
    assert SoFar(tmp_path).of(DOCKER).start == "a"


def test_a_state_directory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    assert noted(tmp_path / "state", OURS, WAITS).of(DOCKER).restart_waits

"""What the log says of Docker's starts and stops, whoever made them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from agent.audit.so_far import SoFar
from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.decide.restart import Restarting, When
from agent.docker.news import of_docker
from agent.one_pass.seen import Offline, Planned
from agent.service.docker_news import of_a_restart_that_waited
from agent.values.dockerd import Cause, Engine, Phase, Reality, UnitState
from agent.values.events import (
    AgentStarted,
    DockerRestarted,
    DockerStarted,
    DockerStopped,
    Facts,
    RestartDeferred,
    RestartDropped,
    SettingsRolledBack,
)
from agent.values.policy import Network, Upstream
from agent.values.settings import DIRECT, Texts, settings
from agent.values.snapshot import Snapshot

DOCKER, SNAP = "docker.service", "snap.docker.dockerd.service"
AT, DOWN_AT = "2026-03-01T09:12:04.000Z", "2026-03-01T09:12:03.000Z"
MOMENTS = {5.0: AT, 4.0: DOWN_AT}
OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
WAITS = Restarting(When.LATER, "3 containers run")


def at(moment: float) -> str:
    return MOMENTS.get(moment, "")


def docker(invocation: str = "a", phase: Phase = Phase.RUNNING, name: str = DOCKER, **unit: int) -> Reality:
    is_up = phase is Phase.RUNNING
    engine = Engine(
        "26.1.5", (1, 45), is_podman=False, proxies=Texts(), live_restore=False, is_swarm=False, containers_running=0
    )
    state = UnitState(phase, invocation=invocation if is_up else "", since=5.0, left_at=4.0, **unit)  # type: ignore[arg-type]
    return Reality(state, unit_name=name, engine=engine if is_up else None)


def said(*records: Facts) -> SoFar:
    so_far = SoFar()
    for facts in records:
        so_far.note(facts)
    return so_far


def started(invocation: str, cause: Cause = Cause.OTHERS, because: str = "", unit: str = DOCKER) -> DockerStarted:
    return DockerStarted(
        unit=unit,
        cause=cause,
        effective=DIRECT,
        invocation=invocation,
        started_at=AT,
        down_since=DOWN_AT,
        because=because or UNSET,
    )


def at_some_time(start: DockerStarted) -> DockerStarted:
    return msgspec.structs.replace(start, started_at=UNSET, down_since=UNSET)


def stopped(because: str, cause: Cause = Cause.OTHERS, unit: str = DOCKER) -> DockerStopped:
    return DockerStopped(unit=unit, cause=cause, because=because, stopped_at=DOWN_AT)


RESTARTED = DockerRestarted(unit=DOCKER, due="x", took_s=1.0)
ROLLED_BACK = SettingsRolledBack(unit=DOCKER, because="x", started_again=())
WAITS_TOLD = RestartDeferred(unit=DOCKER, due="x", waits="y")
CRASHED = "it crashed, and systemd started it"
SERVED = "the agent looks after this Docker from now on"
AS_BEFORE = "this start was recorded before"


@pytest.mark.parametrize(
    ("before", "now", "news"),
    [
        pytest.param([], docker("a"), [started("a")], id="never-seen"),
        pytest.param([started("a")], docker("a"), [], id="the-same"),
        pytest.param([started("a")], docker("b"), [started("b")], id="another"),
        pytest.param(
            [started("b", Cause.AGENT), RESTARTED],
            docker("c"),
            [started("c")],
            id="ours-and-then-theirs",
        ),
        pytest.param(
            [started("a"), stopped("x", Cause.AGENT), started("b", Cause.AGENT), ROLLED_BACK],
            docker("b"),
            [],
            id="rolled-back",
        ),
        pytest.param(
            [started("a"), ROLLED_BACK],
            docker("b"),
            [started("b")],
            id="rolled-back-where-others-started-it",
        ),
        pytest.param(
            [started("a", Cause.AGENT)],
            docker("b", restarts=1),
            [started("b", because=CRASHED)],
            id="systemd-after-a-crash",
        ),
        pytest.param([started("a")], docker(phase=Phase.STOPPED), [stopped("it was stopped")], id="stop"),
        pytest.param([started("a")], docker(phase=Phase.BROKEN), [stopped("it failed")], id="failed"),
        pytest.param(
            [started("a"), stopped("x", Cause.AGENT), ROLLED_BACK],
            docker(phase=Phase.BROKEN),
            [],
            id="a-roll-back-that-did-not-bring-it-up",
        ),
        pytest.param(
            [started("a"), stopped("x", Cause.AGENT), ROLLED_BACK],
            docker("b"),
            [started("b")],
            id="started-by-others-after-a-roll-back-that-did-not-bring-it-up",
        ),
        pytest.param([started("a")], docker(phase=Phase.BROKEN, comes_back=True), [], id="systemd-starts-it-again"),
        pytest.param([started("a")], docker(phase=Phase.STOPPED, has_job=True), [], id="in-a-restart"),
        pytest.param([started("a")], docker(phase=Phase.STARTING), [], id="starting"),
        pytest.param([stopped("x")], docker(phase=Phase.STOPPED), [], id="down-all-along"),
        pytest.param(
            [AgentStarted(version="1", unit=DOCKER, effective=None)],
            docker(phase=Phase.STOPPED),
            [],
            id="down-at-first",
        ),
        pytest.param([], docker(phase=Phase.STOPPED), [stopped("it was stopped")], id="nothing-told-and-down"),
        pytest.param(
            [AgentStarted(version="1")], docker(phase=Phase.MASKED), [stopped("its unit is masked")], id="no-first-look"
        ),
        pytest.param(
            [started("a")],
            msgspec.structs.replace(docker(phase=Phase.STOPPED), is_systemd=False),
            [stopped("it is no longer running")],
            id="without-systemd-a-crash-looks-like-a-stop",
        ),
        pytest.param(
            [started("a"), WAITS_TOLD],
            docker(phase=Phase.STOPPED),
            [
                stopped("it was stopped"),
                RestartDropped(unit=DOCKER, because="Docker stopped: there is nothing to restart"),
            ],
            id="stopped-before-the-restart",
        ),
        pytest.param(
            [started("a")],
            docker("s", name=SNAP),
            [at_some_time(started("s", because=SERVED, unit=SNAP))],
            id="another-docker-is-served",
        ),
        pytest.param(
            [started("a", Cause.AGENT), started("s", unit=SNAP)],
            docker("a"),
            [at_some_time(started("a", Cause.AGENT, SERVED))],
            id="the-first-docker-is-served-again",
        ),
        pytest.param(
            [started("a"), RestartDeferred(unit=SNAP, due="x", waits="y")],
            docker(name=SNAP, phase=Phase.STOPPED),
            [
                msgspec.structs.replace(stopped("it was stopped", unit=SNAP), stopped_at=UNSET),
                RestartDropped(unit=SNAP, because="Docker stopped: there is nothing to restart"),
            ],
            id="another-docker-is-served-and-down",
        ),
    ],
)
def test_each_start_and_each_stop_is_said_once(before: list[Facts], now: Reality, news: list[Facts]) -> None:
    so_far = said(*before)

    assert [*of_docker(now, so_far, at)] == news

    for facts in news:
        so_far.note(facts)
    assert [*of_docker(now, so_far, at)] == []


def test_the_start_of_one_that_does_not_say_what_it_runs_with_is_said_without_it() -> None:
    so_far = said()
    silent = msgspec.structs.replace(docker("a"), engine=None)
    assert silent.is_silent

    news = [*of_docker(silent, so_far, at)]

    assert news == [msgspec.structs.replace(started("a"), effective=UNSET)]
    so_far.note(news[0])
    assert [*of_docker(silent, so_far, at)] == []


def test_what_docker_ran_with_when_the_agent_started_is_no_start() -> None:
    assert [
        *of_docker(docker("a"), said(AgentStarted(version="1", unit=DOCKER, effective=DIRECT, invocation="a")), at)
    ] == []


@pytest.mark.parametrize(
    ("before", "cause"),
    [
        # It may be the agent's own start, that this one was killed in.
        pytest.param(AgentStarted(version="1", unit=DOCKER, invocation="a"), UNSET, id="nobody-saw-who-started-it"),
        pytest.param(
            DockerStarted(unit=DOCKER, cause=Cause.OTHERS, invocation="a", because="it crashed"),
            Cause.OTHERS,
            id="others",
        ),
    ],
)
def test_what_a_silent_docker_runs_with_is_said_once_it_says_so(before: Facts, cause: Cause | UnsetType) -> None:
    so_far = said(before)
    silent = msgspec.structs.replace(docker("a"), engine=None)
    assert [*of_docker(silent, so_far, at)] == []

    news = [*of_docker(docker("a"), so_far, at)]

    said_later = started("a", because="it did not say at first what it runs with")
    assert news == [msgspec.structs.replace(at_some_time(said_later), cause=cause)]
    so_far.note(news[0])
    assert [*of_docker(docker("a"), so_far, at)] == []


@pytest.mark.parametrize(
    ("plan", "is_dropped"),
    [
        pytest.param(Plan(DIRECT, effective=DIRECT), True, id="it-runs-with-what-is-wanted"),
        pytest.param(Plan(DIRECT), False, id="it-does-not-say-what-it-runs-with"),
        pytest.param(Plan(DIRECT, effective=OFFICE), False, id="it-runs-with-something-else"),
        pytest.param(Plan(DIRECT, effective=DIRECT, restart=WAITS), False, id="it-still-waits"),
        pytest.param(Plan(DIRECT, effective=DIRECT, put_off="another is on trial"), False, id="put-off"),
    ],
)
def test_a_restart_that_became_moot_is_dropped(plan: Plan, is_dropped: bool) -> None:
    seen = Planned(
        snapshot=Snapshot(),
        reality=docker("a"),
        recognised=Recognised(Network(name="home", use=("direct",)), "because"),
        choice=Choice(Ending.CHOSEN, "because", "direct"),
        upstream=Upstream("direct"),
        plan=plan,
    )
    waits = (started("a"), WAITS_TOLD)

    assert bool([*of_a_restart_that_waited(seen, said(*waits))]) is is_dropped
    assert [*of_a_restart_that_waited(seen, said(started("a")))] == []
    made = said(*waits, started("b", Cause.AGENT), RESTARTED)
    assert [*of_a_restart_that_waited(seen, made)] == []
    offline = Offline(snapshot=Snapshot(), reality=docker("a"))
    assert [*of_a_restart_that_waited(offline, said(*waits))] == []

"""What the log says of Docker's starts and stops, whoever made them."""

from __future__ import annotations

import msgspec
import pytest

from agent.audit.record import SoFar
from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.decide.restart import Restarting, When
from agent.one_pass.seen import Offline, Planned
from agent.service.docker_news import of_a_restart_that_waited, of_docker
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

AT = "2026-03-01T09:12:04Z"
OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
WAITS = Restarting(When.LATER, "3 containers run")


def docker(invocation: str = "a", phase: Phase = Phase.RUNNING, **unit: int) -> Reality:
    is_up = phase is Phase.RUNNING
    engine = Engine(
        "26.1.5", (1, 45), is_podman=False, proxies=Texts(), live_restore=False, is_swarm=False, containers_running=0
    )
    return Reality(UnitState(phase, invocation=invocation if is_up else "", **unit), engine=engine if is_up else None)  # type: ignore[arg-type]


def said(*records: Facts) -> SoFar:
    so_far = SoFar()
    for facts in records:
        so_far.note(facts)
    return so_far


def started(invocation: str, cause: Cause = Cause.OTHERS) -> DockerStarted:
    return DockerStarted(cause=cause, effective=DIRECT, invocation=invocation, started_at=AT)


CRASHED = msgspec.structs.replace(started("b"), because="it crashed, and systemd started it")


@pytest.mark.parametrize(
    ("before", "now", "news"),
    [
        pytest.param([], docker("a"), [started("a")], id="never-seen"),
        pytest.param([started("a")], docker("a"), [], id="the-same"),
        pytest.param([started("a")], docker("b"), [started("b")], id="another"),
        pytest.param(
            [started("a"), DockerRestarted(due="x")],
            docker("b"),
            [started("b", Cause.AGENT)],
            id="ours-not-recorded-yet",
        ),
        pytest.param(
            [started("a"), SettingsRolledBack(because="x", started_again=())],
            docker("b"),
            [started("b", Cause.AGENT)],
            id="rolled-back",
        ),
        pytest.param(
            [DockerRestarted(due="x"), started("b", Cause.AGENT)],
            docker("c"),
            [started("c")],
            id="ours-and-then-theirs",
        ),
        pytest.param(
            [started("b", Cause.AGENT), DockerRestarted(due="x", took_s=1.0)],
            docker("c"),
            [started("c")],
            id="ours-is-recorded-before-how-the-restart-went",
        ),
        pytest.param([started("a", Cause.AGENT)], docker("b", restarts=1), [CRASHED], id="systemd-after-a-crash"),
        pytest.param(
            [started("a"), DockerRestarted(due="x")],
            docker("b", restarts=1),
            [started("b", Cause.AGENT)],
            id="ours-after-systemd-had-tried",
        ),
        pytest.param([started("a")], docker(phase=Phase.STOPPED), [DockerStopped(because="it was stopped")], id="stop"),
        pytest.param([started("a")], docker(phase=Phase.BROKEN), [DockerStopped(because="it failed")], id="failed"),
        pytest.param(
            [SettingsRolledBack(because="x", started_again=())],
            docker(phase=Phase.BROKEN),
            [DockerStopped(because="it failed")],
            id="a-roll-back-that-did-not-bring-it-up",
        ),
        pytest.param(
            [started("a"), SettingsRolledBack(because="x", started_again=()), DockerStopped(because="it failed")],
            docker("b"),
            [started("b")],
            id="started-by-others-after-a-roll-back-that-did-not-bring-it-up",
        ),
        pytest.param([started("a")], docker(phase=Phase.BROKEN, comes_back=True), [], id="systemd-starts-it-again"),
        pytest.param([started("a")], docker(phase=Phase.STOPPED, has_job=True), [], id="in-a-restart"),
        pytest.param([started("a")], docker(phase=Phase.STARTING), [], id="starting"),
        pytest.param([DockerStopped(because="x")], docker(phase=Phase.STOPPED), [], id="down-all-along"),
        pytest.param([], docker(phase=Phase.STOPPED), [], id="never-seen-up"),
        pytest.param(
            [started("a"), RestartDeferred(due="x", waits="y")],
            docker(phase=Phase.STOPPED),
            [
                DockerStopped(because="it was stopped"),
                RestartDropped(because="Docker stopped; its next start reads what is written"),
            ],
            id="stopped-before-the-restart",
        ),
    ],
)
def test_each_start_and_each_stop_is_said_once(before: list[Facts], now: Reality, news: list[Facts]) -> None:
    so_far = said(*before)

    assert [*of_docker(now, so_far, AT)] == news

    for facts in news:
        so_far.note(facts)
    assert [*of_docker(now, so_far, AT)] == []


def test_the_start_of_one_that_does_not_say_what_it_runs_with_is_said_without_it() -> None:
    so_far = said()
    silent = msgspec.structs.replace(docker("a"), engine=None)
    assert silent.is_silent

    news = [*of_docker(silent, so_far, AT)]

    assert news == [DockerStarted(cause=Cause.OTHERS, invocation="a", started_at=AT)]
    so_far.note(news[0])
    assert [*of_docker(silent, so_far, AT)] == []


def test_what_docker_ran_with_when_the_agent_started_is_no_start() -> None:
    assert [*of_docker(docker("a"), said(AgentStarted(version="1", effective=DIRECT, invocation="a")), AT)] == []


@pytest.mark.parametrize(
    "before",
    [
        AgentStarted(version="1", invocation="a"),
        DockerStarted(cause=Cause.OTHERS, invocation="a", because="it crashed"),
    ],
)
def test_what_a_silent_docker_runs_with_is_said_once_it_says_so(before: Facts) -> None:
    so_far = said(before)
    silent = msgspec.structs.replace(docker("a"), engine=None)
    assert [*of_docker(silent, so_far, AT)] == []

    news = [*of_docker(docker("a"), so_far, AT)]

    assert news == [
        msgspec.structs.replace(started("a"), because="it did not say at first what it runs with"),
    ]
    so_far.note(news[0])
    assert [*of_docker(docker("a"), so_far, AT)] == []


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
    waits = (started("a"), RestartDeferred(due="x", waits="y"))

    assert bool([*of_a_restart_that_waited(seen, said(*waits))]) is is_dropped
    assert [*of_a_restart_that_waited(seen, said(started("a")))] == []
    made = said(*waits, DockerRestarted(due="x"), started("b", Cause.AGENT))
    assert [*of_a_restart_that_waited(seen, made)] == []
    offline = Offline(snapshot=Snapshot(), reality=docker("a"))
    assert [*of_a_restart_that_waited(offline, said(*waits))] == []

"""How `status` reads for a person."""

from __future__ import annotations

import datetime as dt

import msgspec

from agent.cli.status import lines
from agent.status_file import PolicyStatus, State, Status

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
POLICY = PolicyStatus("/etc/docker-proxy-agent/config.toml", "2026-03-01T09:00:00Z")
AT_THE_OFFICE = Status(
    version="1",
    pid=7,
    started=1,
    state=State.STEADY,
    policy=POLICY,
    network={"name": "office", "fingerprint": "0", "because": "match.gateway"},
    upstream={"name": "corp", "since": "2026-03-01T11:48:00Z", "why": "first of corp, direct that works"},
    verdicts={"corp": {"verdict": "ok", "ms": 84}, "direct": {"verdict": "dns", "ms": 3}},
    docker={
        "version": "26.1.5",
        "phase": "running",
        "effective": {"http": "http://corp:3128", "https": "http://corp:3128"},
        "restarts": 1,
        "last_restart": "2026-03-01T11:48:00Z",
        "last_took_s": 0.7,
        "last_kept": 3,
        "deferred": None,
    },
    targets=(
        {"path": "/etc/docker/daemon.json", "name": "daemon.json", "state": "right", "error": None},
        {"path": "/root/.docker/config.json", "name": "root", "state": "right", "error": None},
        {"path": "bob", "name": "bob", "state": "failed", "error": "its home is not mounted"},
    ),
)


def test_a_steady_day_at_the_office() -> None:
    first, *rest = lines(AT_THE_OFFICE, NOW)

    assert first.startswith("office via corp, since ")
    assert first.endswith("(12 min)")
    assert rest == [
        "  because      first of corp, direct that works",
        "  docker       26.1.5 runs with http://corp:3128; restarted once by this agent, last 0.7 s, 12 min ago, 3 containers kept",
        "  written      daemon.json · root",
        "  not written  bob: its home is not mounted",
        "  upstreams    corp ok 84 ms · direct dns",
    ]


def test_what_waits_and_what_should_be_known() -> None:
    docker = {**AT_THE_OFFICE.docker, "restarts": 0, "effective": {"proxy": "direct"}, "deferred": "1 container runs"}
    condition = {"code": "portal", "text": "a portal answers", "remedy": "Pass it", "target": ""}
    waiting = msgspec.structs.replace(AT_THE_OFFICE, docker=docker, conditions=(condition,))

    shown = list(lines(waiting, NOW))

    assert "  docker       26.1.5 runs with no proxy; a restart is due: 1 container runs" in shown
    assert shown[-1] == "  note         a portal answers. Pass it"


def test_a_docker_that_is_down_comes_before_all_else() -> None:
    portal = {"code": "portal", "text": "a portal answers", "remedy": "", "target": ""}
    down = {"code": "engine-down", "text": "Docker is down", "remedy": "See: the journal", "target": ""}

    shown = list(lines(msgspec.structs.replace(AT_THE_OFFICE, conditions=(portal, down)), NOW))

    assert shown[0] == "Docker is down. See: the journal"
    assert shown[1].startswith("office via corp")
    assert shown[-1] == "  note         a portal answers"


def test_offline_and_without_a_policy() -> None:
    bare = Status("1", 7, 1, State.OFFLINE, POLICY)

    assert list(lines(bare, NOW)) == ["offline: nothing is touched"]
    assert list(lines(msgspec.structs.replace(bare, state=State.IDLE), NOW)) == ["waits for a policy"]

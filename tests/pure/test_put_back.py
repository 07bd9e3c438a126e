"""What puts Docker's files back: the bytes from before us, whatever they say, and when Docker already runs with them."""

from __future__ import annotations

import pytest

from agent.decide.plan import OwnedDaemonJson, plan
from agent.decide.put_back import PutBack, put_back
from agent.decide.restart import When
from agent.targets import daemon_json, drop_in
from agent.targets.for_dockerd import as_compared
from agent.values.dockerd import Engine, Phase, Reality, UnitState
from agent.values.policy import Docker, Method
from agent.values.settings import Texts, settings

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
RUNNING = UnitState(Phase.RUNNING, pid=1, invocation="a")
NOT_PARSED = [
    pytest.param("http://alice:p@ss:w#rd@proxy.example.net:3128", id="a-password-that-is-not-encoded"),
    pytest.param(":proxy", id="no-host"),
    pytest.param("socks4://proxy:1080", id="another-scheme"),
    pytest.param("http://proxy:99999", id="no-port"),
    pytest.param("http://proxy:3128?x", id="a-query"),
    pytest.param("http://al%zzice@proxy:1", id="a-broken-percent"),
    pytest.param("http://xxxxx:xxxxx@proxy:3128", id="what-docker-info-shows"),
]


def engine(proxies: Texts) -> Engine:
    return Engine("26.1.5", (1, 45), False, proxies, False, False, 0)


def of_daemon_json(now: str | None, running: Texts) -> Reality:
    return Reality(
        RUNNING, engine=engine(running), started_with=daemon_json.texts(now), daemon_json=now, takes_proxies=True
    )


def of_the_unit(theirs: str, running: Texts) -> Reality:
    return Reality(
        RUNNING,
        engine=engine(running),
        environment=running,
        foreign_environment=Texts(theirs),
        running_environment=running,
        environment_file=drop_in.edit(OFFICE),
        drop_in=drop_in.drop_in("/etc/docker-proxy-agent/dockerd.env"),
        is_drop_in_loaded=True,
    )


def back(reality: Reality, kept: dict[str, OwnedDaemonJson]) -> PutBack:
    texts = {
        reality.daemon_json_path: reality.daemon_json,
        reality.environment_file_path: reality.environment_file,
        reality.drop_in_path: reality.drop_in,
    }
    return put_back(kept, texts, reality, Docker(), is_asked_now=False)


@pytest.mark.parametrize("theirs", NOT_PARSED)
def test_daemon_json_gets_its_own_bytes_back_and_they_are_what_docker_must_run_with(theirs: str) -> None:
    original = f'{{ "proxies":  {{"http-proxy": "{theirs}"}}}}\n'
    before = of_daemon_json(original, Texts(theirs))
    made = plan(OFFICE, before, Docker(method=Method.DAEMON_JSON), OwnedDaemonJson(), is_asked_now=False)
    ours = made.edits[0].after
    kept = {before.daemon_json_path: OwnedDaemonJson(True, original)}

    found = back(of_daemon_json(ours, as_compared(OFFICE)), kept)

    assert found.left == ()
    assert [edit.after for edit in found.plan.edits] == [original]
    assert found.plan.desired == Texts(theirs).meaning()
    assert found.plan.restart is not None
    assert found.plan.restart.when is When.NOW
    as_compared(found.plan.desired)  # what a start is known by, and a failure remembered


@pytest.mark.parametrize("theirs", NOT_PARSED)
def test_what_docker_already_runs_with_is_no_reason_for_a_restart(theirs: str) -> None:
    original = f'{{"proxies": {{"http-proxy": "{theirs}"}}}}'
    ours = daemon_json.edit(original, OFFICE, Texts())
    reality = of_daemon_json(ours, Texts(theirs))

    found = back(reality, {reality.daemon_json_path: OwnedDaemonJson(True, original)})

    assert [edit.after for edit in found.plan.edits] == [original]
    assert found.plan.restart is None


@pytest.mark.parametrize("theirs", NOT_PARSED)
def test_the_units_own_environment_is_in_force_again(theirs: str) -> None:
    found = back(of_the_unit(theirs, as_compared(OFFICE)), {})

    assert [edit.after for edit in found.plan.edits] == [None, None]
    assert found.plan.needs_daemon_reload
    assert found.plan.desired == Texts(theirs).meaning()
    assert found.plan.restart is not None
    as_compared(found.plan.desired)

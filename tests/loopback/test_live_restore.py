"""Containers over a restart: live-restore on for it, off again after it, and the file as it was to the byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.decide.plan import Holding, plan
from agent.decide.urgent import Urgency
from agent.docker.journal import Journal, Stage
from agent.docker.last_good import REFUSED, LastGood
from agent.docker.live_restore import LiveRestore, NotTaken
from agent.docker.recover import recover
from agent.targets import daemon_json, drop_in
from agent.values.dockerd import Phase, Reality
from agent.values.policy import Docker, Method, Restart
from agent.values.settings import DIRECT, Settings, settings

from .dockerd import Dockerd

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
URGENT = Holding(urgency=Urgency(is_urgent=True, because="direct does not work here (no-route)"))
FILES = [
    pytest.param(None, id="no-file"),
    pytest.param("", id="empty"),
    pytest.param("{}", id="no-keys"),
    pytest.param('{\n\t"live-restore" : false,\n\t"debug": true\n}', id="false"),
    pytest.param('{"live-restore": true}\n', id="true-and-not-read-yet"),
    pytest.param('{\n  "log-driver": "local"\n}\n', id="other-keys"),
]
METHODS = [Method.DROP_IN, Method.DAEMON_JSON]


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def restarted(dockerd: Dockerd, desired: Settings = OFFICE, method: Method = Method.DROP_IN) -> object:
    reality = await dockerd.reality(desired)
    made = plan(desired, reality, Docker(method=method), dockerd.owned(reality), is_asked_now=False, holding=URGENT)
    return await dockerd.transaction().carry_out(made, reality)


@pytest.mark.parametrize("text", FILES)
async def test_containers_run_on_and_the_file_is_as_it_was(dockerd: Dockerd, text: str | None) -> None:
    if text is not None:
        dockerd.daemon_json.write_text(text)
    dockerd.containers = 5

    await restarted(dockerd)

    assert dockerd.runs_with == OFFICE
    assert (dockerd.containers, dockerd.killed) == (5, 0)
    assert (dockerd.daemon_json.read_text() if dockerd.daemon_json.exists() else None) == text
    assert dockerd.live_restore is (text is not None and '"live-restore": true' in text)
    assert Journal(dockerd.agent_state).under_way().is_over
    assert dockerd.facts_of("docker-restarted")["containers_kept"] == 5


async def test_settings_in_the_same_file_stay_there(dockerd: Dockerd) -> None:
    dockerd.containers = 1

    await restarted(dockerd, method=Method.DAEMON_JSON)

    assert json.loads(dockerd.daemon_json.read_text()).keys() == {"proxies"}
    assert (dockerd.killed, dockerd.live_restore, dockerd.runs_with) == (0, False, OFFICE)


async def test_one_that_may_still_come_to_read_that_it_is_on_is_told_that_it_is_off(dockerd: Dockerd) -> None:
    """A reload that dockerd takes its time for: what it says meanwhile is what it was before."""
    told: list[bool | None] = []
    reload = dockerd.reload

    async def late() -> None:
        told.append(daemon_json.live_restore(dockerd.text("etc/daemon.json")))
        await reload()

    dockerd.reload, dockerd.takes_live_restore = late, False  # type: ignore[method-assign]
    with pytest.raises(NotTaken):
        await LiveRestore(dockerd, dockerd, Journal(dockerd.agent_state), takes_s=0.1).on(dockerd.daemon_json)

    assert told == [True, False]
    assert not dockerd.daemon_json.exists()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", FILES)
async def test_a_roll_back_keeps_them_too(dockerd: Dockerd, text: str | None, method: Method) -> None:
    if text is not None:
        dockerd.daemon_json.write_text(text)
    dockerd.containers, dockerd.refuses = 3, OFFICE
    before = dockerd.files()

    await restarted(dockerd, method=method)

    assert (dockerd.containers, dockerd.killed, dockerd.phase) == (3, 0, Phase.RUNNING)
    assert dockerd.files() == before
    assert dockerd.events()[-1] == "rolled-back"
    assert Journal(dockerd.agent_state).under_way().is_over


@pytest.mark.parametrize("can_reload", [True, False])
@pytest.mark.parametrize("text", FILES)
async def test_a_dockerd_that_does_not_take_it_is_not_restarted(
    dockerd: Dockerd, text: str | None, can_reload: bool
) -> None:
    if text is not None:
        dockerd.daemon_json.write_text(text)
    dockerd.containers, dockerd.takes_live_restore, dockerd.can_reload = 2, False, can_reload
    journal = Journal(dockerd.agent_state)

    with pytest.raises(NotTaken, match=r"did not switch it on within 0 s" if can_reload else r"not applicable$"):
        await LiveRestore(dockerd, dockerd, journal, takes_s=0.1).on(dockerd.daemon_json)

    assert (dockerd.daemon_json.read_text() if dockerd.daemon_json.exists() else None) == text
    assert journal.under_way().is_over
    assert (dockerd.starts, dockerd.killed) == (1, 0)


async def test_a_container_that_starts_at_the_last_moment_is_a_reason_to_wait(dockerd: Dockerd) -> None:
    made, reality = await dockerd.plan(OFFICE)
    dockerd.containers = 1

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.deferred == "1 container runs, started at the last moment"
    assert (dockerd.killed, dockerd.starts) == (0, 1)


def once_counted(dockerd: Dockerd, happens: Callable[[], object]) -> None:
    """After the look before the restart, while the journal is written."""
    look = dockerd.busy_now

    async def looked(found: Reality) -> Reality:
        met = await look(found)
        happens()
        return met

    dockerd.busy_now = looked  # type: ignore[method-assign]


@pytest.mark.parametrize("transfer", [pytest.param("", id="idle"), pytest.param("a pull or push", id="urgent")])
async def test_one_that_starts_when_all_is_written_is_a_reason_to_wait_too(dockerd: Dockerd, transfer: str) -> None:
    dockerd.transfer, dockerd.units = transfer, {"docker.target": True}
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(), dockerd.owned(reality), is_asked_now=False, holding=URGENT)
    once_counted(dockerd, lambda: setattr(dockerd, "containers", 1))

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert made.restarts
    assert outcome.deferred == "1 container runs, started at the last moment"
    assert (dockerd.killed, dockerd.starts, dockerd.runs_with) == (0, 1, DIRECT)
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert dockerd.events() == ["settings-written", "restart-deferred"]
    under_way = Journal(dockerd.agent_state).under_way()
    assert (under_way.stage, under_way.units, under_way.start) == (Stage.WRITING, (), "1")

    dockerd.containers = 0
    del dockerd.busy_now
    await restarted(dockerd)
    assert dockerd.runs_with == OFFICE


async def test_nor_is_a_docker_restarted_that_does_not_say_what_runs_by_then(dockerd: Dockerd) -> None:
    made, reality = await dockerd.plan(OFFICE)
    once_counted(dockerd, lambda: setattr(dockerd, "is_silent", True))

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.deferred == "containers were not counted: docker.sock: no answer"
    assert dockerd.starts == 1


@pytest.mark.parametrize(
    ("docker", "is_asked_now"),
    [pytest.param(Docker(restart=Restart.ALWAYS), False, id="always"), pytest.param(Docker(), True, id="now")],
)
async def test_who_does_not_wait_for_containers_does_not_wait_for_that_one(
    dockerd: Dockerd, docker: Docker, is_asked_now: bool
) -> None:
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, docker, dockerd.owned(reality), is_asked_now=is_asked_now)
    once_counted(dockerd, lambda: setattr(dockerd, "containers", 1))

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.restarted_s is not None
    assert dockerd.runs_with == OFFICE


async def test_one_that_this_docker_would_end_and_that_starts_at_the_last_moment_is_too(dockerd: Dockerd) -> None:
    """Docker before 24.0.8 ends those of `docker run --rm`, with live-restore, too."""
    dockerd.version, dockerd.containers = 20, 2
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(), dockerd.owned(reality), is_asked_now=False, holding=URGENT)
    dockerd.auto_removed = 1

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.deferred == "Docker 20 removes containers of docker run --rm when it starts: container-1"
    assert (dockerd.killed, dockerd.starts, dockerd.live_restore) == (0, 1, False)


@pytest.mark.parametrize(("version", "lost", "stopped"), [(20, [], ["container-1"]), (26, [], None)])
async def test_one_that_was_to_end_is_not_lost_but_stopped(
    dockerd: Dockerd, version: int, lost: list[str], stopped: list[str] | None
) -> None:
    """A person said now, and the other one goes on."""
    dockerd.version, dockerd.containers, dockerd.auto_removed = version, 2, 1
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(), dockerd.owned(reality), is_asked_now=True)

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert (outcome.containers_lost, outcome.condition) == (tuple(lost), None)
    assert outcome.containers_kept == (1 if stopped else 2)
    assert (dockerd.facts_of("docker-restarted").get("containers_stopped") or None) == stopped


async def test_what_somebody_writes_into_the_file_meanwhile_stays(dockerd: Dockerd) -> None:
    dockerd.daemon_json.write_text('{"debug": false}\n')
    dockerd.containers = 1

    def edited() -> None:
        dockerd.daemon_json.write_text(dockerd.daemon_json.read_text().replace("false", "true"))

    dockerd.before_it_starts = edited
    await restarted(dockerd)

    assert json.loads(dockerd.daemon_json.read_text()) == {"debug": True}
    assert dockerd.killed == 0


class Died(BaseException):
    """As a kill does: nothing after it is done."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.BROKEN])
async def test_after_a_crash_in_between_nothing_is_lost(dockerd: Dockerd, method: Method, phase: Phase) -> None:
    dockerd.daemon_json.write_text('{\n  "debug": true\n}\n')
    dockerd.containers = 2

    def dies() -> None:
        if phase is Phase.BROKEN:
            dockerd.phase = phase
        raise Died

    dockerd.before_it_starts = dies
    with pytest.raises(Died):
        await restarted(dockerd, method=method)
    dockerd.before_it_starts = lambda: None
    await recover(dockerd, dockerd, dockerd.agent_state, dockerd.record(), is_systemd=True, may_restart=True)

    assert (dockerd.containers, dockerd.killed, dockerd.phase) == (2, 0, Phase.RUNNING)
    assert "live-restore" not in dockerd.daemon_json.read_text()
    assert not dockerd.live_restore
    assert dockerd.is_quarantined(OFFICE) is (phase is Phase.BROKEN)


async def test_a_file_of_somebody_else_that_dockerd_does_not_take_makes_way_for_the_last_good_one(
    dockerd: Dockerd,
) -> None:
    dockerd.daemon_json.write_text('{"debug": true}\n')
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    theirs = '{"data-root": "/gone"}\n'
    dockerd.daemon_json.write_text(theirs)
    dockerd.refuses_file = "gone"

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(DIRECT))

    assert dockerd.is_running
    assert dockerd.daemon_json.read_text() == '{"debug": true}\n'
    refused = dockerd.daemon_json.with_name("daemon.json" + REFUSED)
    assert refused.read_text() == theirs
    assert refused.stat().st_mode & 0o777 == 0o600
    assert "was restored as it was when Docker last started" in outcome.rolled_back
    assert str(refused) in outcome.rolled_back


async def test_a_quarantine_survives_the_agent_and_not_the_boot_and_not_a_change(dockerd: Dockerd) -> None:
    dockerd.refuses = OFFICE
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert dockerd.is_quarantined(OFFICE)
    assert not dockerd.is_quarantined(settings("http://office:3128", "http://office:3128", "other"))
    assert "office" not in (dockerd.agent_state / "quarantine.json").read_text()
    in_another_boot = msgspec.json.decode((dockerd.agent_state / "quarantine.json").read_bytes())
    in_another_boot["state"]["boot"] = "another"
    (dockerd.agent_state / "quarantine.json").write_bytes(msgspec.json.encode(in_another_boot))
    assert not dockerd.is_quarantined(OFFICE)


async def test_a_key_that_was_taken_out_since_is_written_for_the_restart(dockerd: Dockerd) -> None:
    """On in dockerd, and no more in the file that the next one reads (FACTS 15)."""
    dockerd.daemon_json.write_text("{}")
    dockerd.containers, dockerd.live_restore = 3, True

    await restarted(dockerd)

    assert (dockerd.containers, dockerd.killed) == (3, 0)
    assert dockerd.daemon_json.read_text() == "{}"


async def test_a_dockerd_that_is_silent_after_the_restart_is_not_taken_for_one_that_is_down(dockerd: Dockerd) -> None:
    dockerd.containers = 2
    journal = Journal(dockerd.agent_state)
    live_restore = LiveRestore(dockerd, dockerd, journal)
    await live_restore.on(dockerd.daemon_json)
    dockerd.is_silent = True

    assert await live_restore.off() != ()
    assert journal.under_way().is_unfinished

    dockerd.is_silent = False
    await recover(dockerd, dockerd, dockerd.agent_state, dockerd.record(), is_systemd=True, may_restart=True)
    assert not dockerd.live_restore
    assert not dockerd.daemon_json.exists()
    assert not journal.under_way().is_unfinished


async def test_a_person_who_says_now_does_not_wait_for_what_cannot_be_had(dockerd: Dockerd) -> None:
    dockerd.containers, dockerd.can_reload = 1, False
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(), dockerd.owned(reality), is_asked_now=True)

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.restarted_s is not None
    assert (outcome.containers_kept, outcome.containers_lost) == (0, ())
    assert dockerd.runs_with == OFFICE


async def test_who_is_told_to_stop_in_the_middle_of_a_roll_back_leaves_no_docker_down(dockerd: Dockerd) -> None:
    dockerd.refuses = OFFICE
    before = dockerd.files()
    made, reality = await dockerd.plan(OFFICE)
    stopping = asyncio.Event()

    async def hangs() -> None:
        stopping.set()
        await asyncio.Event().wait()  # for ever

    dockerd.while_it_stops = hangs
    task = asyncio.create_task(dockerd.transaction().carry_out(made, reality))
    await asyncio.wait_for(stopping.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert dockerd.phase is Phase.RUNNING
    assert dockerd.files() == before


async def test_where_nothing_makes_docker_start_it_is_tried_again(dockerd: Dockerd) -> None:
    dockerd.refuses_file = "{"
    dockerd.daemon_json.write_text("{}")
    dockerd.last_good.keep(str(dockerd.daemon_json), "{}")
    state = dockerd.agent_state
    made, reality = await dockerd.plan(OFFICE)

    outcome = await dockerd.transaction().carry_out(made, reality)
    assert outcome.is_failed
    assert dockerd.phase.value == "broken"
    assert Journal(state).under_way().forbids_writing

    await recover(dockerd, dockerd, state, dockerd.record(), is_systemd=True, may_restart=True)
    assert Journal(state).under_way().forbids_writing

    dockerd.refuses_file = ""
    await recover(dockerd, dockerd, state, dockerd.record(), is_systemd=True, may_restart=True)
    assert dockerd.phase.value == "running"
    assert not Journal(state).under_way().is_unfinished


async def test_a_password_in_the_last_good_file_is_as_closed_as_it_was(dockerd: Dockerd) -> None:
    good = '{"proxies": {"http-proxy": "http://u:hunter2@office:3128"}}\n'
    LastGood(dockerd.agent_state).keep(str(dockerd.daemon_json), good)
    dockerd.daemon_json.write_text("{}")
    dockerd.daemon_json.chmod(0o644)

    assert LastGood(dockerd.agent_state).put_back(None) != ""

    assert dockerd.daemon_json.read_text() == good
    assert dockerd.daemon_json.stat().st_mode & 0o777 == 0o600

"""Units that depend on Docker: known before it goes down, and up again after it; and which containers really ran on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from agent.decide.plan import Holding, plan
from agent.decide.urgent import Urgency
from agent.docker.journal import Journal, Stage, UnderWay
from agent.docker.ports import AtLast, nothing
from agent.docker.process import holds_containers
from agent.docker.recover import recover
from agent.docker.roll_back import UnitsUp, bring_units_up
from agent.docker.transaction import Applied
from agent.docker.unit import Unit
from agent.system.process_start import boot_id
from agent.system.state_file import StateFile
from agent.targets import drop_in
from agent.values.condition import Code
from agent.values.dockerd import Phase, UnitState
from agent.values.errors import NotTried
from agent.values.policy import Docker, Restart
from agent.values.settings import DIRECT, Settings, Texts, settings

from .dockerd import Dockerd

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
URGENT = Holding(urgency=Urgency(is_urgent=True, because="direct does not work here (no-route)"))
MAY = ("stack.service", "*-firewall.service")


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def passed(
    dockerd: Dockerd, desired: Settings = OFFICE, docker: Docker = Docker(), *, is_asked_now: bool = False
) -> Applied:
    reality = await dockerd.reality(desired)
    made = plan(desired, reality, docker, dockerd.owned(reality), is_asked_now=is_asked_now, holding=URGENT)
    return await dockerd.transaction().carry_out(made, reality)


@pytest.mark.parametrize("mode", [Restart.PROTECT, Restart.WHEN_IDLE])
@pytest.mark.parametrize("containers", [0, 2])
async def test_a_unit_that_hangs_on_docker_is_waited_for(dockerd: Dockerd, mode: Restart, containers: int) -> None:
    """Also where no container runs: what its ExecStop= does is not known."""
    dockerd.units, dockerd.containers = {"stack.service": True, "old.service": False}, containers

    outcome = await passed(dockerd, docker=Docker(restart=mode))

    assert outcome.deferred.startswith("stack.service depends on Docker and would be stopped with it")
    assert (dockerd.starts, dockerd.units["stack.service"]) == (1, True)
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)


async def test_one_that_starts_at_the_last_moment_is_waited_for_too(dockerd: Dockerd) -> None:
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(), dockerd.owned(reality), is_asked_now=False, holding=URGENT)
    dockerd.units = {"stack.service": True}

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert "stack.service depends on Docker" in outcome.deferred
    assert outcome.deferred.endswith("started at the last moment")
    assert dockerd.starts == 1


@pytest.mark.parametrize(
    ("docker", "is_asked_now"),
    [pytest.param(Docker(restart=Restart.ALWAYS), False, id="always"), pytest.param(Docker(), True, id="now")],
)
async def test_who_does_not_wait_does_not_wait_for_that_one_either(
    dockerd: Dockerd, docker: Docker, is_asked_now: bool
) -> None:
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, docker, dockerd.owned(reality), is_asked_now=is_asked_now, holding=URGENT)
    dockerd.units = {"stack.service": True}

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.restarted_s is not None
    assert dockerd.units == {"stack.service": True}


@pytest.mark.parametrize(
    ("docker", "is_asked_now"),
    [
        pytest.param(Docker(take_along=MAY), False, id="named-in-the-policy"),
        pytest.param(Docker(restart=Restart.ALWAYS), False, id="always"),
        pytest.param(Docker(), True, id="now"),
    ],
)
async def test_what_went_down_with_docker_is_started_again(
    dockerd: Dockerd, docker: Docker, is_asked_now: bool
) -> None:
    """What systemd starts again by itself is left to it; what was down before stays down."""
    dockerd.units = {"stack.service": True, "my-firewall.service": True, "old.service": False}
    dockerd.comes_back = {"my-firewall.service"}
    journal, noted = Journal(dockerd.agent_state), list[tuple[str, ...]]()
    dockerd.before_it_starts = lambda: noted.append(journal.under_way().units)

    outcome = await passed(dockerd, docker=docker, is_asked_now=is_asked_now)

    assert outcome.restarted_s is not None
    assert noted == [("my-firewall.service", "stack.service")]
    assert dockerd.units == {"stack.service": True, "my-firewall.service": True, "old.service": False}
    facts = dockerd.facts_of("docker-restarted")
    assert "my-firewall.service" in facts["allowed"]
    assert facts["taken_along"] == ["my-firewall.service", "stack.service"]
    assert facts["started_again"] == ["stack.service"]
    assert journal.under_way().is_over


async def test_an_agent_that_is_stopped_before_they_are_up_has_recorded_its_start_of_docker(dockerd: Dockerd) -> None:
    dockerd.units = {"stack.service": True}

    async def stopped(_: object) -> tuple[str, ...]:
        raise asyncio.CancelledError

    dockerd.start_again = stopped  # type: ignore[method-assign, assignment]
    with pytest.raises(asyncio.CancelledError):
        await passed(dockerd, docker=Docker(take_along=MAY))

    assert dockerd.is_running
    assert dockerd.events()[-1] == "docker-started"
    assert dockerd.facts_of("docker-started")["cause"] == "agent"


async def test_a_roll_back_starts_them_again(dockerd: Dockerd) -> None:
    dockerd.units, dockerd.refuses, dockerd.comes_back = {"stack.service": True}, OFFICE, {"stack.service"}

    outcome = await passed(dockerd, docker=Docker(take_along=MAY))

    assert outcome.is_failed
    assert dockerd.is_running
    assert dockerd.units == {"stack.service": True}
    assert dockerd.facts_of("rolled-back")["started_again"] == ["stack.service"]
    assert Journal(dockerd.agent_state).under_way().is_over


async def test_one_that_cannot_be_started_is_said_and_is_no_reason_to_do_anything_again(dockerd: Dockerd) -> None:
    dockerd.units, dockerd.fails_again = {"stack.service": True}, "Unit stack.service is masked"

    outcome = await passed(dockerd, docker=Docker(take_along=MAY))

    assert outcome.restarted_s is not None
    assert "Unit stack.service is masked" in str(outcome.left)
    assert not Journal(dockerd.agent_state).under_way().is_unfinished


async def test_they_are_not_forgotten_while_systemd_is_about_to_start_a_docker_that_crashed(dockerd: Dockerd) -> None:
    journal = Journal(dockerd.agent_state)
    journal.enter(Stage.VERIFIED, ("bound.service",))
    dockerd.units, dockerd.phase, dockerd.comes_back_by_itself = {"bound.service": False}, Phase.BROKEN, True

    assert await bring_units_up(dockerd, journal) == UnitsUp()

    await dockerd.wake()
    dockerd.comes_back_by_itself = False
    assert (await bring_units_up(dockerd, journal)).started == ("bound.service",)
    assert not journal.under_way().units


async def test_they_do_not_wake_a_docker_that_somebody_stopped_meanwhile(dockerd: Dockerd) -> None:
    dockerd.units = {"stack.service": True}
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(take_along=MAY), dockerd.owned(reality), is_asked_now=False, holding=URGENT)
    dockerd.phase = Phase.STOPPED

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert "is stopped now" in outcome.deferred
    assert dockerd.phase is Phase.STOPPED
    assert not Journal(dockerd.agent_state).under_way().units


class Upgraded(Dockerd):
    """Somebody else restarts it right after we did."""

    async def restart(self, at_last: AtLast = nothing) -> UnitState:
        ours = await super().restart(at_last)
        self.takes_instead = Texts(http="http://theirs:1")
        await Dockerd.restart(self)
        return ours


class Unready(Dockerd):
    """Its systemd does not even take the job."""

    async def restart(self, at_last: AtLast = nothing) -> UnitState:
        raise NotTried("systemctl", "did not end within 30 s")


async def test_a_restart_by_somebody_else_right_after_ours_is_no_reason_to_forget_them(tmp_path: Path) -> None:
    dockerd = Upgraded(tmp_path)
    dockerd.units = {"stack.service": True}

    outcome = await passed(dockerd, docker=Docker(take_along=MAY))

    assert "restarted meanwhile, not by the agent" in outcome.deferred
    assert dockerd.units == {"stack.service": True}


async def test_where_nothing_was_restarted_nothing_is_started(tmp_path: Path) -> None:
    """A person who stops one a moment later has it stopped."""
    dockerd = Unready(tmp_path)
    dockerd.units = {"stack.service": True}

    with pytest.raises(NotTried):
        await passed(dockerd, docker=Docker(take_along=MAY))

    assert Journal(dockerd.agent_state).under_way().is_over


async def test_who_is_told_to_stop_in_the_middle_of_a_roll_back_leaves_no_unit_down(dockerd: Dockerd) -> None:
    dockerd.units, dockerd.refuses = {"stack.service": True}, OFFICE
    stopping = asyncio.Event()

    async def hangs() -> None:
        stopping.set()
        await asyncio.Event().wait()  # for ever

    dockerd.while_it_stops = hangs
    task = asyncio.create_task(passed(dockerd, docker=Docker(take_along=MAY)))
    await asyncio.wait_for(stopping.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert dockerd.is_running
    assert dockerd.units == {"stack.service": True}


@pytest.mark.parametrize("is_this_boot", [True, False])
@pytest.mark.parametrize(
    ("stage", "phase", "is_started"),
    [
        pytest.param(Stage.RESTARTING, Phase.RUNNING, True, id="came-up"),
        pytest.param(Stage.RESTARTING, Phase.BROKEN, True, id="did-not-come-up"),
        pytest.param(Stage.RESTARTING, Phase.STOPPED, False, id="somebody-stopped-it"),
        pytest.param(Stage.ROLLING_BACK, Phase.STOPPED, True, id="we-stopped-it"),
        pytest.param(Stage.VERIFIED, Phase.RUNNING, True, id="nothing-else-is-left"),
    ],
)
async def test_after_a_crash_the_next_agent_starts_them_again(
    dockerd: Dockerd, stage: Stage, phase: Phase, is_started: bool, is_this_boot: bool
) -> None:
    """Another boot has started what it starts, unless Docker broke in it: then what needs Docker did not start."""
    journal = Journal(dockerd.agent_state)
    journal.enter(stage, ("stack.service",))
    if not is_this_boot:
        file = StateFile(dockerd.agent_state / "journal.json", UnderWay, 1)
        file.save(msgspec.structs.replace(journal.under_way(), boot="another"))
    dockerd.units, dockerd.phase = {"stack.service": False}, phase

    await recover(dockerd, dockerd, dockerd.agent_state, dockerd.record(), is_systemd=True, may_restart=True)

    assert dockerd.units == {"stack.service": is_started and (is_this_boot or phase is Phase.BROKEN)}
    assert not journal.under_way().units


def test_they_are_known_until_they_are_up_whatever_else_is_noted(tmp_path: Path) -> None:
    journal, file = Journal(tmp_path), tmp_path / "daemon.json"
    file.write_text("new")
    journal.enter(Stage.RESTARTING, ("stack.service",))

    journal.note(str(file), "old", "new", None)
    journal.open(str(tmp_path / "other.json"), None)
    journal.close()
    journal.settle()
    journal.forget()

    assert journal.under_way() == UnderWay(Stage.VERIFIED, {}, boot_id(), None, ("stack.service",))
    journal.note_units_up()
    assert journal.under_way().is_over


def test_a_journal_of_before_is_understood(tmp_path: Path) -> None:
    before = '{"format":1,"state":{"stage":"restarting","notes":{},"boot":"b","bracket":null}}'
    (tmp_path / "journal.json").write_text(before)

    assert Journal(tmp_path).under_way() == UnderWay(Stage.RESTARTING, {}, "b")


# Containers are counted.


async def test_a_container_that_did_not_run_on_is_not_counted_as_kept(dockerd: Dockerd) -> None:
    """One is gone, and one came up again by itself: both are others, or none, now."""
    dockerd.containers, dockerd.loses, dockerd.starts_anew = 5, 1, 1

    outcome = await passed(dockerd)

    assert outcome.containers_kept == 3
    assert outcome.containers_lost == ("container-0", "container-4")
    assert outcome.condition is not None
    assert outcome.condition.code is Code.CONTAINERS_LOST
    assert "2 containers should have survived" in outcome.condition.text
    assert "container-0 and container-4" in outcome.condition.text
    assert not outcome.is_failed
    facts = dockerd.facts_of("docker-restarted")
    assert (facts["containers_kept"], facts["containers_lost"]) == (3, ["container-0", "container-4"])


async def test_containers_that_all_run_on_are_all_kept(dockerd: Dockerd) -> None:
    dockerd.containers = 5

    outcome = await passed(dockerd)

    assert (outcome.containers_kept, outcome.containers_lost, outcome.condition) == (5, (), None)


async def test_those_that_a_roll_back_lost_are_said_too(dockerd: Dockerd) -> None:
    dockerd.containers, dockerd.loses, dockerd.refuses = 2, 1, OFFICE

    outcome = await passed(dockerd)

    assert outcome.is_failed
    assert outcome.containers_lost == ("container-1",)
    assert dockerd.facts_of("rolled-back")["containers_lost"] == ["container-1"]


async def test_without_live_restore_nobody_was_to_run_on(dockerd: Dockerd) -> None:
    dockerd.containers = 2

    outcome = await passed(dockerd, docker=Docker(restart=Restart.ALWAYS))

    assert dockerd.killed == 2
    assert (outcome.containers_kept, outcome.containers_lost, outcome.condition) == (0, (), None)
    assert dockerd.facts_of("docker-restarted")["containers_stopped"] == ["container-0", "container-1"]


async def test_those_that_were_stopped_for_a_restart_that_failed_are_said_too(dockerd: Dockerd) -> None:
    dockerd.containers, dockerd.refuses = 1, OFFICE

    outcome = await passed(dockerd, docker=Docker(restart=Restart.ALWAYS))

    assert (outcome.containers_lost, outcome.condition) == ((), None)
    assert dockerd.facts_of("rolled-back")["containers_stopped"] == ["container-0"]


async def test_where_the_shims_end_with_the_unit_containers_are_waited_for(dockerd: Dockerd) -> None:
    (dockerd.root / "etc/daemon.json").write_text('{"live-restore": true}')
    dockerd.containers, dockerd.live_restore, dockerd.shims_in_unit = 2, True, True

    outcome = await passed(dockerd)

    assert "2 containers run and would not survive" in outcome.deferred
    assert dockerd.starts == 1


# Who hangs on whom, as systemctl says it.

SYSTEMCTL = (
    f"#!{sys.executable} -IS"
    + """
import json, sys
units = json.load(open(sys.argv[0] + ".json"))
told = sys.argv[1:]
open(sys.argv[0] + ".log", "a").write(json.dumps(told) + "\\n")
names = told[told.index("--") + 1:]
if told[0] == "show":
    shown = ({"Id": name, "ActiveState": "inactive", **units.get(name, {})} for name in names)
    print("\\n\\n".join("\\n".join(f"{key}={value}" for key, value in unit.items()) for unit in shown))
"""
)


class Systemd:
    """A program that answers for systemctl."""

    def __init__(self, folder: Path, units: dict[str, dict[str, str]]) -> None:
        self._program = folder / "systemctl"
        self._program.write_text(SYSTEMCTL)
        self._program.chmod(0o755)
        Path(f"{self._program}.json").write_text(json.dumps(units))

    @property
    def asked(self) -> list[list[str]]:
        log = Path(f"{self._program}.log")
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


async def test_what_hangs_on_docker_is_followed_until_nothing_new_comes(on_path: Path) -> None:
    up, down = {"ActiveState": "active"}, {"ActiveState": "inactive"}
    Systemd(
        on_path,
        {
            "docker.service": {**up, "RequiredBy": "a.service docker.socket", "ConsistsOf": "b.service"},
            "a.service": {**down, "BoundBy": "c.service", "RequisiteOf": "docker.service"},
            "b.service": {"ActiveState": "activating", "PropagatesStopTo": "a.service"},
            "c.service": {**up, "RequiredBy": "c.service d.timer"},
            "d.timer": {"ActiveState": "reloading"},
        },
    )
    docker = Unit("docker.service")

    assert await docker.hanging(await docker.state()) == ("b.service", "c.service", "d.timer")


async def test_where_nothing_hangs_on_it_systemd_is_asked_once(on_path: Path) -> None:
    systemd = Systemd(on_path, {"docker.service": {"ActiveState": "active", "ConsistsOf": "docker.socket"}})
    docker = Unit("docker.service")

    assert await docker.hanging(await docker.state()) == ()
    assert len(systemd.asked) == 1


async def test_a_house_of_units_without_end_is_not_followed_for_ever(on_path: Path) -> None:
    """What is not known to be down is waited for."""
    chain = {f"{n}.service": {"RequiredBy": f"{n + 1}.service"} for n in range(2000)}
    systemd = Systemd(on_path, {"docker.service": {"ActiveState": "active", "RequiredBy": "0.service"}, **chain})
    docker = Unit("docker.service")

    assert len(await docker.hanging(await docker.state())) == 1
    assert len(systemd.asked) <= 20


@pytest.mark.parametrize("docker", ["active", "inactive"])
async def test_only_what_is_down_and_stays_so_is_started(on_path: Path, docker: str) -> None:
    """And nothing beside a Docker that somebody stopped at the last moment: it would wake it."""
    systemd = Systemd(
        on_path,
        {
            "docker.service": {"ActiveState": docker},
            "up.service": {"ActiveState": "active", "Job": "0"},
            "comes.service": {"ActiveState": "inactive", "Job": "1207"},
            "down.service": {"ActiveState": "inactive", "Job": "0"},
            "failed.service": {"ActiveState": "failed", "Job": ""},
            "stopping.service": {"ActiveState": "deactivating", "Job": "1208"},
        },
    )
    down = ("down.service", "failed.service", "stopping.service")

    started = await Unit("docker.service").start_again(("up.service", "comes.service", *down))

    starts = [asked for asked in systemd.asked if asked[0] == "start"]
    if docker == "active":
        assert started == down
        assert starts == [["start", "--no-block", "--", *down]]
    else:
        assert (started, starts) == ((), [])


# Where the shims live.


@pytest.mark.parametrize(
    ("dockerds", "shims", "is_in_unit"),
    [
        pytest.param("0::/system.slice/docker.service", "0::/system.slice/docker.service", True, id="beside-dockerd"),
        pytest.param("0::/system.slice/docker.service", "0::/system.slice/docker.service/x", True, id="below-it"),
        pytest.param("0::/system.slice/docker.service", "0::/system.slice/containerd.service", False, id="elsewhere"),
        pytest.param("0::/a/docker.service", "0::/a/docker.service2", False, id="a-longer-name"),
        pytest.param("1:name=systemd:/s/docker.service\n0::/", "1:name=systemd:/s/docker.service\n0::/", True, id="v1"),
        pytest.param("9:pids:/s/docker.service\n0::/", "9:pids:/s/docker.service\n0::/", False, id="no-group-at-all"),
    ],
)
def test_where_the_shims_live(tmp_path: Path, dockerds: str, shims: str, is_in_unit: bool) -> None:
    for pid, name, group in ((7, "dockerd", dockerds), (9, "containerd-shim", shims), (8, "sleep", dockerds)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
        (tmp_path / str(pid) / "cgroup").write_text(f"{group}\n")
    (tmp_path / "10").mkdir()  # it has just ended
    (tmp_path / "self").mkdir()

    assert holds_containers(7, tmp_path) is is_in_unit
    assert not holds_containers(6, tmp_path)


async def test_a_second_pass_finds_nothing_to_do(dockerd: Dockerd) -> None:
    dockerd.units = {"stack.service": True}
    await passed(dockerd, docker=Docker(take_along=MAY))
    starts = dockerd.starts

    assert (await passed(dockerd, docker=Docker(take_along=MAY))).restarted_s is None
    assert (await passed(dockerd, DIRECT, Docker(take_along=MAY))).restarted_s is not None
    assert dockerd.starts == starts + 1

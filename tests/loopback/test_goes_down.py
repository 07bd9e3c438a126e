"""A system that goes down, at any step of a transaction: nothing of that is a failure, and the next boot goes on.

The steps are those of test_crash_points.py. What systemd and a real Docker do then: tests/machine/test_goes_down.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from agent.audit.record import Record
from agent.docker.engine import EngineSocket
from agent.docker.journal import Journal, Stage, UnderWay
from agent.docker.originals import daemon_originals
from agent.docker.quarantine import Quarantine
from agent.docker.recover import recover
from agent.docker.restart_command import CommandUnit
from agent.docker.transaction import Applied
from agent.system.state_file import StateFile
from agent.system.systemd import OF_THE_SYSTEM, Systemd
from agent.values.condition import Code
from agent.values.dockerd import GOES_DOWN, Phase, UnitState
from agent.values.errors import AgentError, UnitFailed
from agent.values.policy import Method
from agent.values.settings import DIRECT
from agent.values.snapshot import Snapshot
from tests.share import share_of

from .dockerd import Dockerd
from .test_crash_points import DEATH, OFFICE, Machine
from .test_reconcile import Place, at, policy
from .test_recover import Left
from .test_restore import applied, restored
from .test_service import Laptop

FAILURES = {"rolled-back", "target-failed"}


@contextmanager
def goes_down_at(step: int, dockerd: Dockerd, phase: Phase) -> Iterator[None]:
    """From then on systemd starts nothing, and Docker is in this phase, whatever it was in the middle of."""

    def down() -> None:
        dockerd.system_goes_down = True
        dockerd.phase = phase

    with DEATH.at(step, down):
        yield


async def next_boot(dockerd: Dockerd) -> None:
    """As the service begins: files only, then Docker is started by the boot, then what is left."""
    state = dockerd.agent_state
    file = StateFile(state / "journal.json", UnderWay, 1)
    if (found := file.load()) is not None and found.stage is not None:
        file.save(msgspec.structs.replace(found, boot="another"))
    dockerd.system_goes_down = False
    await recover(dockerd, dockerd, state, dockerd.record(), is_systemd=True, may_restart=False)
    dockerd.phase = Phase.STOPPED
    with suppress(AgentError):  # it does not start with what stands there
        await dockerd.start()
    await recover(dockerd, dockerd, state, dockerd.record(), is_systemd=True, may_restart=True)


@pytest.mark.parametrize("method", [Method.DROP_IN, Method.DAEMON_JSON])
@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STOPPED, Phase.BROKEN], ids=lambda phase: phase.value)
async def test_whenever_it_goes_down_nothing_has_failed_and_the_next_boot_goes_on(
    tmp_path: Path, method: Method, phase: Phase
) -> None:
    counted = Machine(tmp_path / "counted", method, refuses=False)
    with DEATH.at(None):
        await counted.roams()
    points = range(len(DEATH.steps))
    assert len(points) > 30

    for point in share_of(points):
        machine = Machine(tmp_path / str(point), method, refuses=False)
        dockerd, starts = machine.dockerd, machine.dockerd.starts
        with goes_down_at(point, dockerd, phase), suppress(AgentError):
            await machine.roams()

        assert machine.is_whole(), point
        assert not FAILURES & set(dockerd.events()), point
        deferred = {record["facts"]["waits"] for record in dockerd.records() if record["event"] == "restart-deferred"}
        assert deferred <= {GOES_DOWN}, point
        assert not dockerd.is_quarantined(OFFICE), point
        assert dockerd.starts <= starts + 1, point  # none but the restart that may have been over

        await next_boot(dockerd)

        assert dockerd.phase is Phase.RUNNING, point
        assert not dockerd.live_restore, point
        assert machine.is_whole(), point
        assert "live-restore" not in machine.file.read_text(), point
        assert dockerd.runs_with in {OFFICE, DIRECT}, point
        assert Journal(dockerd.agent_state).under_way().is_over, point
        assert not dockerd.is_quarantined(OFFICE), point


@pytest.mark.parametrize("method", [Method.DROP_IN, Method.DAEMON_JSON])
async def test_whenever_it_goes_down_a_docker_that_refuses_the_new_settings_is_up_after_the_next_boot(
    tmp_path: Path, method: Method
) -> None:
    counted = Machine(tmp_path / "counted", method, refuses=True)
    with DEATH.at(None):
        await counted.roams()
    points = range(len(DEATH.steps))

    for point in share_of(points):
        machine = Machine(tmp_path / str(point), method, refuses=True)
        dockerd = machine.dockerd
        with goes_down_at(point, dockerd, Phase.BROKEN), suppress(AgentError):
            outcome = await machine.roams()
            assert outcome.condition is None or outcome.condition.code is not Code.ENGINE_DOWN, point

        await next_boot(dockerd)

        assert dockerd.phase is Phase.RUNNING, point
        assert dockerd.runs_with == DIRECT, point
        assert machine.is_whole(), point


@pytest.mark.parametrize("systemd", [OF_THE_SYSTEM, None])
async def test_a_system_that_does_not_say_so_is_not_going_down(tmp_path: Path, systemd: Systemd | None) -> None:
    """Also where no systemd answers."""
    unit = CommandUnit(("true",), EngineSocket(tmp_path / "docker.sock"), systemd)

    assert not await unit.goes_down()


async def test_a_pass_writes_nothing_and_says_so(tmp_path: Path) -> None:
    dockerd = Dockerd(tmp_path)
    dockerd.system_goes_down = True
    before = dockerd.files()
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.policy = policy(
        '[upstream.office]\nurl = "http://office:3128"\n[[network]]\nmatch.gateway = ["10.10.0.1"]\nuse = ["office"]\n'
    )

    done = await place.passed()

    assert done.seen.acts
    assert done.outcome == Applied(deferred="the system is going down; the next boot continues it", goes_down=True)
    assert not done.is_failed
    assert dockerd.files() == before
    assert dockerd.events() == []


class NoBus(Place):
    """systemd stops D-Bus before it stops the agent."""

    async def see(self) -> Snapshot:
        if self.daemon.system_goes_down:
            raise UnitFailed("busctl --json=short", "Connection refused")
        return await super().see()


async def test_what_is_gone_already_is_nothing_that_anybody_has_to_mend(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    laptop.place = NoBus(at("10.10.0.1"), laptop.dockerd, office="ok", direct="ok")
    laptop.policy()
    async with laptop.running() as hand:
        laptop.dockerd.system_goes_down = True

        await hand.wake()

        assert "target-failed" not in laptop.events()
        assert laptop.status()["conditions"] == []


class Unrecovered(Dockerd):
    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        raise UnitFailed("busctl --json=short", "Connection refused")


async def test_nor_what_cannot_be_finished_then(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    (tmp_path / "unrecovered").mkdir()
    laptop.place.daemon = laptop.dockerd = Unrecovered(tmp_path / "unrecovered", laptop.paths.state)
    laptop.dockerd.system_goes_down = True
    async with laptop.running():
        assert "target-failed" not in laptop.events()


async def test_nothing_is_put_back_and_nothing_forgotten(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    dockerd = Dockerd(tmp_path / "docker")
    await applied(dockerd, OFFICE)
    before, known = dockerd.files(), daemon_originals(dockerd.agent_state).all()
    dockerd.system_goes_down = True

    done = await restored(dockerd)

    assert done.left == ("the system is going down: nothing is restored",)
    assert done.is_failed
    assert (dockerd.files(), daemon_originals(dockerd.agent_state).all()) == (before, known)


async def test_what_is_put_back_while_it_begins_to_go_down_is_known_at_the_next_boot(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    dockerd = Dockerd(tmp_path / "docker")
    await applied(dockerd, OFFICE)
    known = daemon_originals(dockerd.agent_state).all()

    def down() -> None:
        dockerd.system_goes_down = True

    with DEATH.at(6, down):
        done = await restored(dockerd)

    assert done.outcome.goes_down
    assert done.is_failed
    assert daemon_originals(dockerd.agent_state).all() == known
    await next_boot(dockerd)
    assert not (await restored(dockerd)).is_failed
    assert dockerd.files() == {}
    assert dockerd.runs_with == DIRECT


@pytest.mark.parametrize("containers", [0, 1], ids=["restarted", "put-off"])
async def test_an_agent_that_comes_much_later_does_not_go_back_to_what_was_ours(
    tmp_path: Path, containers: int
) -> None:
    """Where Docker broke meanwhile, by somebody else's doing."""
    (tmp_path / "docker").mkdir()
    dockerd = Dockerd(tmp_path / "docker")
    await applied(dockerd, OFFICE)
    dockerd.containers = containers
    await restored(dockerd)

    dockerd.refuses = DIRECT
    await next_boot(dockerd)

    assert dockerd.files() == {}
    assert Journal(dockerd.agent_state).under_way() == UnderWay()


class GoesDownMeanwhile(Dockerd):
    """Between two looks; and a Docker that goes down with it is broken."""

    async def state(self) -> UnitState:
        self.system_goes_down = self.phase is Phase.BROKEN
        return await super().state()


async def test_a_docker_that_broke_while_it_was_waited_for_is_not_blamed(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.RESTARTING, Phase.BROKEN)
    (tmp_path / "meanwhile").mkdir()
    dockerd = GoesDownMeanwhile(tmp_path / "meanwhile", tmp_path / "state")
    dockerd.phase = Phase.BROKEN

    assert await recover(dockerd, dockerd, tmp_path / "state", dockerd.record(), is_systemd=True, may_restart=True)

    assert left.journal.under_way().stage is Stage.RESTARTING
    assert not FAILURES & set(dockerd.events())
    assert not Quarantine(tmp_path / "state").until({"office": OFFICE, "direct": DIRECT})


@pytest.mark.parametrize("stage", [Stage.RESTARTING, Stage.ROLLING_BACK])
async def test_what_an_agent_left_is_left_once_more(tmp_path: Path, stage: Stage) -> None:
    left = Left(tmp_path, stage, Phase.BROKEN)
    left.dockerd.system_goes_down = True
    was = left.file.read_text()

    await left.recover()

    assert left.file.read_text() == was
    assert left.dockerd.events() == []
    assert left.journal.under_way().stage is stage
    left.dockerd.system_goes_down = False
    await left.recover()
    assert left.is_put_back
    assert left.dockerd.is_running

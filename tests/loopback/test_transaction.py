"""The transaction on real files, with a dockerd that can be told how to behave."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agent.decide.plan import OwnedDaemonJson
from agent.docker.journal import Journal, Stage
from agent.docker.originals import daemon_originals
from agent.docker.ports import AtLast, nothing
from agent.docker.transaction import Transaction
from agent.system.files import Changed
from agent.system.to_the_end import to_the_end
from agent.targets import drop_in
from agent.values.dockerd import Layer, Phase, Reality, UnitState
from agent.values.errors import NotInForce, NotTried, TargetFailed
from agent.values.policy import Method
from agent.values.settings import DIRECT, Settings, Texts, settings

from .dockerd import Dockerd

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
FOREIGN = '{\n\t"proxies": {"http-proxy": "http://u:hunter2@foreign:1"}\n}\n'


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def test_written_restarted_and_reported(dockerd: Dockerd) -> None:
    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.restarted_s is not None
    assert not outcome.is_failed
    assert dockerd.runs_with == OFFICE
    assert dockerd.starts == 2
    assert dockerd.events() == ["settings-written", "docker-started", "docker-restarted"]
    assert (dockerd.root / "etc/dockerd.env").stat().st_mode & 0o777 == 0o600
    assert (dockerd.root / "unit/drop-in.conf").stat().st_mode & 0o777 == 0o644


async def test_a_dockerd_that_does_not_start_gets_its_old_files_and_runs(dockerd: Dockerd) -> None:
    (dockerd.root / "etc/daemon.json").write_text(FOREIGN)
    dockerd.refuses = OFFICE
    before = dockerd.files()

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.is_failed
    assert "did not come up" in outcome.rolled_back
    assert dockerd.files() == before
    assert dockerd.is_running
    assert dockerd.events()[-4:] == ["settings-written", "docker-stopped", "docker-started", "rolled-back"]
    stopped, started = dockerd.facts_of("docker-stopped"), dockerd.facts_of("docker-started")
    assert (stopped["cause"], stopped["because"]) == ("agent", "docker.service: did not come up")
    assert (started["cause"], started["effective"]) == ("agent", {"http": "http://•••@foreign:1"})
    assert stopped["stopped_at"] == started["down_since"] <= started["started_at"]
    assert "hunter2" not in dockerd.audit.read_text()


async def test_a_dockerd_that_runs_with_something_else_gets_its_old_files(dockerd: Dockerd) -> None:
    """A value that Go cannot parse is dropped, and dockerd goes direct: the restart "worked"."""
    dockerd.takes_instead = Texts(http="http://office:3128")

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert "runs with settings other than those written: http http://office:3128" in outcome.rolled_back
    assert dockerd.files() == {}
    assert dockerd.is_running
    starts = [record["facts"] for record in dockerd.records() if record["event"] == "docker-started"]
    assert [(facts["invocation"], facts["cause"]) for facts in starts] == [("2", "agent"), ("3", "agent")]
    assert starts[0]["effective"] == {"http": "http://office:3128"}
    assert starts[0]["because"] in outcome.rolled_back
    assert dockerd.events()[-1] == "rolled-back"


async def test_where_something_beats_what_was_written_that_is_said_and_the_settings_are_not_to_blame(
    dockerd: Dockerd,
) -> None:
    dockerd.gets_instead = Texts(https="http://other:1")

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert not outcome.rolled_back
    assert outcome.is_failed
    assert outcome.condition is not None
    assert "Docker came up and runs with https http://other:1 instead" in outcome.condition.text
    assert dockerd.starts == 2
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert dockerd.events() == ["settings-written", "docker-started", "docker-restarted"]
    assert not dockerd.is_quarantined(OFFICE)
    assert Journal(dockerd.agent_state).under_way().stage is Stage.WRITING


async def test_a_container_that_runs_defers_the_restart_and_not_the_write(dockerd: Dockerd) -> None:
    dockerd.containers = 1

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.deferred.startswith("1 container runs")
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert dockerd.starts == 1
    assert dockerd.events() == ["settings-written", "restart-deferred"]


async def test_what_somebody_else_wrote_meanwhile_stands_and_our_half_is_put_back(dockerd: Dockerd) -> None:
    made, reality = await dockerd.plan(OFFICE)
    (dockerd.root / "unit/drop-in.conf").write_text("theirs\n")

    with pytest.raises(Changed):
        await dockerd.transaction().carry_out(made, reality)

    assert dockerd.files() == {"drop-in.conf": b"theirs\n"}
    assert dockerd.starts == 1


async def test_a_target_that_cannot_be_written_leaves_the_others_as_they_were(dockerd: Dockerd) -> None:
    made, reality = await dockerd.plan(OFFICE)
    (dockerd.root / "unit").rmdir()
    (dockerd.root / "unit").write_text("no folder")

    with pytest.raises(TargetFailed, match=r"drop-in\.conf"):
        await dockerd.transaction().carry_out(made, reality)

    assert not (dockerd.root / "etc/dockerd.env").exists()


async def test_what_the_drop_in_beats_is_said_once_with_its_file(dockerd: Dockerd) -> None:
    dockerd.environment = Texts(http="http://u:hunter2@foreign:1")
    dockerd.beaten = (
        Layer("/etc/systemd/system/docker.service.d/http-proxy.conf", {"HTTP_PROXY": "http://u:hunter2@foreign:1"}),
        Layer("/etc/default/docker", {"https_proxy": "http://foreign:2"}),
    )

    for wanted in (OFFICE, DIRECT, OFFICE):
        await dockerd.transaction().carry_out(*await dockerd.plan(wanted))

    adopted = [record["facts"] for record in dockerd.records() if record["event"] == "adopted"]
    assert [facts["targets"] for facts in adopted] == [[layer.path] for layer in dockerd.beaten]
    assert adopted[0]["found"] == {"http": "http://•••@foreign:1"}
    assert adopted[1]["found"] == {"https": "http://foreign:2"}
    assert "hunter2" not in dockerd.audit.read_text()


async def test_somebody_elses_values_are_kept_and_said_once(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text(FOREIGN)
    dockerd._boot()

    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    owned = OwnedDaemonJson(True, FOREIGN)
    await dockerd.transaction().carry_out(*await dockerd.plan(DIRECT, owned=owned))

    assert dockerd.events().count("adopted") == 1
    original = daemon_originals(dockerd.root / "state").of(str(file))
    assert original is not None
    assert original.text == FOREIGN
    assert "hunter2" not in dockerd.audit.read_text()
    assert (dockerd.root / "state/originals.json").stat().st_mode & 0o777 == 0o600
    assert (dockerd.root / "state").stat().st_mode & 0o777 == 0o700


async def test_a_dockerd_that_never_reports_is_not_in_force(dockerd: Dockerd) -> None:
    class Silent(Dockerd):
        async def reality(self, *desired: Settings) -> Reality:
            seen = await Dockerd.reality(self, *desired)
            return seen if self.starts != 2 else Reality(seen.unit)

    (dockerd.root / "silent").mkdir()
    silent = Silent(dockerd.root / "silent")

    outcome = await silent.transaction().carry_out(*await silent.plan(OFFICE))

    assert str(NotInForce("docker", "did not report its settings within 0 s")) in outcome.rolled_back
    assert silent.is_running


async def test_docker_is_started_even_where_a_file_cannot_be_put_back(dockerd: Dockerd) -> None:
    """A folder that became read-only meanwhile, a full disk: Docker is never left down because of us."""
    dockerd.refuses = OFFICE
    made, reality = await dockerd.plan(OFFICE)
    dockerd.before_it_stops = lambda: (dockerd.root / "etc/dockerd.env").write_text("HTTP_PROXY=http://theirs:1\n")

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert "another program changed it meanwhile" in outcome.rolled_back
    assert "Docker runs again, with http http://theirs:1" in outcome.rolled_back
    assert dockerd.is_running
    assert dockerd.events()[-1] == "rolled-back"


async def test_a_ctrl_c_during_a_restart_waits_for_the_roll_back(dockerd: Dockerd) -> None:
    dockerd.refuses = OFFICE
    made, reality = await dockerd.plan(OFFICE)
    working = asyncio.create_task(to_the_end(dockerd.transaction().carry_out(made, reality), None))
    dockerd.before_it_stops = working.cancel

    with pytest.raises(asyncio.CancelledError):
        await working

    assert dockerd.files() == {}
    assert dockerd.is_running


async def test_the_file_is_as_open_as_before_once_the_password_is_gone(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text('{"debug": true}')
    file.chmod(0o640)
    with_password = settings("http://u:p@office:1", "http://u:p@office:1", "localhost")

    for wanted, mode in ((with_password, 0o600), (DIRECT, 0o640)):
        made, reality = await dockerd.plan(wanted, Method.DAEMON_JSON)
        made, reality = await dockerd.plan(wanted, Method.DAEMON_JSON, dockerd.owned(reality))
        await dockerd.transaction().carry_out(made, reality)
        assert file.stat().st_mode & 0o777 == mode


async def test_a_restart_that_was_put_off_and_then_fails_puts_back_what_was_written_then(dockerd: Dockerd) -> None:
    """Another pass, another process: what dockerd ran with is still known."""
    (dockerd.root / "etc/dockerd.env").write_text(drop_in.edit(DIRECT))
    before = dockerd.files()
    dockerd.containers = 1
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    assert dockerd.files() != before
    dockerd.containers = 0
    dockerd.refuses = OFFICE

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert "Docker runs with the old settings again" in outcome.rolled_back
    assert dockerd.files() == before
    assert dockerd.is_running


async def test_a_roll_back_goes_no_further_than_the_last_start_that_was_right(dockerd: Dockerd) -> None:
    other = settings("http://other:1", "http://other:1", "localhost")
    await dockerd.transaction().carry_out(*await dockerd.plan(other))
    right = dockerd.files()
    dockerd.refuses = OFFICE

    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert dockerd.files() == right
    assert dockerd.runs_with == other


async def test_until_docker_runs_again_the_journal_says_that_we_stopped_it(dockerd: Dockerd) -> None:
    journal, stages = Journal(dockerd.root / "state"), list[Stage | None]()
    dockerd.refuses = OFFICE
    dockerd.before_it_stops = lambda: stages.append(journal.under_way().stage)
    dockerd.before_it_starts = lambda: stages.append(journal.under_way().stage)

    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert stages == [Stage.RESTARTING, Stage.ROLLING_BACK, Stage.ROLLING_BACK]
    assert journal.under_way().stage is None


async def test_a_file_that_could_not_be_put_back_is_not_forgotten(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/dockerd.env"
    dockerd.refuses = OFFICE

    def in_the_way() -> None:
        file.rename(file.with_name("aside"))
        file.mkdir()

    def out_of_the_way() -> None:
        if not file.is_dir():
            return
        file.rmdir()
        file.with_name("aside").rename(file)
        dockerd.refuses = None

    dockerd.before_it_stops = in_the_way
    made, reality = await dockerd.plan(OFFICE)
    dockerd.before_it_starts = out_of_the_way

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert "is not a regular file" in outcome.rolled_back
    assert list(Journal(dockerd.root / "state").under_way().notes) == [str(file)]
    assert not (dockerd.root / "unit/drop-in.conf").exists()


class Limited(Dockerd):
    """Its systemd does not forget how often it was started."""

    async def lift_start_limit(self) -> None:
        raise NotTried("systemctl reset-failed", "Access denied")


async def test_a_docker_that_might_not_come_up_again_is_not_restarted(tmp_path: Path) -> None:
    """The start that systemd refuses would take the socket down, too."""
    limited = Limited(tmp_path)

    with pytest.raises(NotTried, match="Access denied"):
        await limited.transaction().carry_out(*await limited.plan(OFFICE))

    assert limited.starts == 1
    assert limited.files() == {}
    assert not Journal(limited.agent_state).under_way().is_unfinished


async def test_a_docker_that_somebody_stopped_meanwhile_stays_stopped_and_the_settings_stay_written(
    dockerd: Dockerd,
) -> None:
    made, reality = await dockerd.plan(OFFICE)
    dockerd.phase = Phase.STOPPED

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert not outcome.is_failed
    assert "docker.service: is stopped now" in outcome.deferred
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert dockerd.starts == 1
    assert dockerd.events() == ["settings-written", "restart-deferred"]


async def test_a_restart_by_somebody_else_is_looked_at_again_and_not_rolled_back(dockerd: Dockerd) -> None:
    """An upgrade restarts Docker right after we did: what it reports is not what our restart led to."""

    class Upgraded(Dockerd):
        async def restart(self, at_last: AtLast = nothing) -> UnitState:
            ours = await Dockerd.restart(self, at_last)
            self.takes_instead = Texts(http="http://theirs:1")
            await Dockerd.restart(self)
            return ours

    (dockerd.root / "upgraded").mkdir()
    upgraded = Upgraded(dockerd.root / "upgraded")

    outcome = await upgraded.transaction().carry_out(*await upgraded.plan(OFFICE))

    assert not outcome.is_failed
    assert "restarted meanwhile, not by the agent" in outcome.deferred
    assert upgraded.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert upgraded.starts == 3


async def test_what_somebody_else_wrote_between_two_of_our_writes_survives_a_roll_back(dockerd: Dockerd) -> None:
    """The first was put off; what it found is what a roll-back goes back to, but for the lines of others."""
    file = dockerd.root / "etc/daemon.json"
    file.write_text('{"debug": true}\n')
    dockerd.containers = 1
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE, Method.DAEMON_JSON))
    file.write_text(file.read_text().replace('"debug": true', '"debug": true, "data-root": "/srv/docker"'))
    dockerd.containers = 0
    other = settings("http://other:1", "http://other:1", "localhost")
    dockerd.refuses = other

    await dockerd.transaction().carry_out(*await dockerd.plan(other, Method.DAEMON_JSON))

    assert json.loads(file.read_text()) == {"debug": True, "data-root": "/srv/docker"}
    assert dockerd.is_running


async def test_what_somebody_else_writes_while_docker_starts_survives_a_roll_back(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text('{"debug": true}\n')
    dockerd.refuses = OFFICE

    def edited() -> None:
        file.write_text(file.read_text().replace("true", "false"))
        dockerd.before_it_starts = lambda: None

    dockerd.before_it_starts = edited
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE, Method.DAEMON_JSON))

    assert json.loads(file.read_text()) == {"debug": False}
    assert dockerd.is_running


async def test_a_write_that_fails_does_not_forget_what_the_one_before_has_written(dockerd: Dockerd) -> None:
    dockerd.containers = 1
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    journal = Journal(dockerd.agent_state)
    file = str(dockerd.root / "etc/dockerd.env")
    written = dockerd.text("etc/dockerd.env")
    journal.note(file, written, "never written", 0o600)

    assert journal.put_back() == ()

    assert dockerd.text("etc/dockerd.env") is None


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STARTING], ids=lambda phase: phase.value)
async def test_a_docker_that_a_client_starts_in_the_middle_of_a_roll_back_runs_with_the_old_settings(
    tmp_path: Path, phase: Phase
) -> None:
    """By its socket, as soon as it is down: with the files that are about to be put back."""

    class Wanted(Dockerd):
        stops = 0

        async def stop(self) -> None:
            await super().stop()
            self.takes_instead = None
            self.stops += 1
            if self.stops == 1:
                self._boot()
                self.phase = phase

    dockerd = Wanted(tmp_path)
    dockerd.takes_instead = Texts(http="http://office:3128")

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert "Docker runs with the old settings again" in outcome.rolled_back
    assert dockerd.runs_with == DIRECT
    assert dockerd.files() == {}


@pytest.mark.parametrize("step", ["it stops", "it starts"])
async def test_docker_is_started_even_where_the_journal_cannot_be_read_any_more(dockerd: Dockerd, step: str) -> None:
    """A disk that fails in the middle."""
    dockerd.refuses = OFFICE
    made, reality = await dockerd.plan(OFFICE)
    journal = dockerd.agent_state / "journal.json"

    def broken() -> None:
        journal.write_text("{")
        dockerd.refuses = None  # what it had before cannot be known

    def at_the_second_start() -> None:
        dockerd.before_it_starts = broken

    if step == "it stops":
        dockerd.before_it_stops = broken
    else:
        dockerd.before_it_starts = at_the_second_start

    outcome = await dockerd.transaction().carry_out(made, reality)

    assert dockerd.is_running
    assert "journal.json: cannot be parsed" in outcome.rolled_back
    assert dockerd.events()[-1] == "rolled-back"


async def test_a_stop_by_somebody_else_that_never_ends_does_not_hold_up_the_agent_for_ever(dockerd: Dockerd) -> None:
    """Its unit may say TimeoutStopSec=infinity, and a container may not end."""

    async def somebody_stops_it() -> None:
        dockerd.phase = Phase.STOPPING

    made, reality = await dockerd.plan(OFFICE)
    dockerd.after_it_started = somebody_stops_it
    transaction = Transaction(
        dockerd, dockerd, dockerd.agent_state, dockerd.record(), reports_within_s=0.1, leaves_within_s=0.4
    )

    outcome = await asyncio.wait_for(transaction.carry_out(made, reality), 30)

    assert "docker.service: is still stopping" in outcome.deferred
    assert not outcome.is_failed
    assert dockerd.phase is Phase.STOPPING
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert Journal(dockerd.agent_state).under_way().stage is Stage.WRITING

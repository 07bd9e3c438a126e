"""What the next agent makes of what one that ended in the middle has left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path

import msgspec
import pytest

from agent.decide.plan import OwnedDaemonJson, plan
from agent.decide.probation import Trial
from agent.docker.journal import Journal, Note, Stage, UnderWay
from agent.docker.news import of_docker
from agent.docker.ports import AtLast, nothing
from agent.docker.quarantine import Quarantine
from agent.docker.recover import note_first_run, recover
from agent.system.files import Changed
from agent.system.state_file import StateFile
from agent.targets import drop_in
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.errors import NotTried, RestartFailed
from agent.values.events import AgentStarted
from agent.values.policy import Docker, Method, Restart
from agent.values.settings import DIRECT, Settings, Texts, settings

from .dockerd import Dockerd
from .test_live_restore import once_counted

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
HOME = settings("http://home:3128", "http://home:3128", "localhost")


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    (tmp_path / "docker").mkdir()
    return Dockerd(tmp_path / "docker")


class Machine:
    """An agent has ended on it."""

    def __init__(self, root: Path) -> None:
        self.file = root / "etc/dockerd.env"
        self.dockerd = Dockerd(root)
        self.journal = Journal(root / "state")

    def in_another_boot(self) -> None:
        file = StateFile(self.dockerd.root / "state/journal.json", UnderWay, 1)
        file.save(msgspec.structs.replace(self.journal.under_way(), boot="another"))


class Left(Machine):
    """A machine as an agent left it that ended at this stage, with this Docker."""

    def __init__(self, root: Path, stage: Stage, phase: Phase) -> None:
        super().__init__(root)
        self.file.write_text(drop_in.edit(OFFICE))
        self.journal.note(str(self.file), drop_in.edit(DIRECT), drop_in.edit(OFFICE), 0o600)
        self.journal.enter(stage)
        self.dockerd.phase = phase

    async def recover(self, *, is_systemd: bool = True, may_restart: bool = True) -> None:
        dockerd = self.dockerd
        state = dockerd.root / "state"
        unit = "docker.service"
        await recover(
            dockerd, dockerd, state, dockerd.record(), is_systemd=is_systemd, may_restart=may_restart, unit=unit
        )

    @property
    def is_put_back(self) -> bool:
        return self.file.read_text() == drop_in.edit(DIRECT)


@pytest.mark.parametrize(
    ("stage", "phase", "ends", "is_put_back"),
    [
        pytest.param(Stage.WRITING, Phase.RUNNING, Phase.RUNNING, False, id="the-pass-decides"),
        pytest.param(Stage.WRITING, Phase.STOPPED, Phase.STOPPED, False, id="somebody-stopped-it-while-we-wrote"),
        pytest.param(Stage.WRITING, Phase.BROKEN, Phase.BROKEN, False, id="it-broke-before-it-was-started-with-ours"),
        pytest.param(Stage.RESTARTING, Phase.RUNNING, Phase.RUNNING, False, id="came-up"),
        pytest.param(Stage.RESTARTING, Phase.BROKEN, Phase.RUNNING, True, id="did-not-come-up"),
        pytest.param(Stage.RESTARTING, Phase.STOPPED, Phase.STOPPED, False, id="somebody-stopped-it-after-the-restart"),
        pytest.param(Stage.ROLLING_BACK, Phase.STOPPED, Phase.RUNNING, True, id="we-stopped-it"),
        pytest.param(Stage.ROLLING_BACK, Phase.BROKEN, Phase.RUNNING, True, id="never-came-up"),
        pytest.param(Stage.ROLLING_BACK, Phase.RUNNING, Phase.RUNNING, True, id="not-stopped-yet"),
    ],
)
async def test_docker_is_up_again_only_where_we_took_it_down(
    tmp_path: Path, stage: Stage, phase: Phase, ends: Phase, is_put_back: bool
) -> None:
    left = Left(tmp_path, stage, phase)

    await left.recover()

    assert left.dockerd.phase is ends
    assert left.is_put_back is is_put_back
    assert ("rolled-back" in left.dockerd.events()) is is_put_back
    assert (left.journal.under_way().stage is None) is is_put_back


@pytest.mark.parametrize("stage", [Stage.WRITING, Stage.RESTARTING, Stage.ROLLING_BACK])
@pytest.mark.parametrize(("unit", "is_judged"), [("docker.service", True), ("", True), ("snap.service", False)])
async def test_a_docker_is_not_judged_by_a_restart_of_another_one(
    tmp_path: Path, stage: Stage, unit: str, is_judged: bool
) -> None:
    left = Left(tmp_path, stage, Phase.BROKEN)
    file = StateFile(tmp_path / "state/journal.json", UnderWay, 1)
    of_it = msgspec.structs.replace(left.journal.under_way(), unit=unit, start="before", boot="another")
    file.save(of_it)
    dockerd = left.dockerd

    state = dockerd.root / "state"
    await recover(dockerd, dockerd, state, dockerd.record(), is_systemd=True, may_restart=True, unit="docker.service")

    assert left.is_put_back is is_judged
    assert dockerd.is_running is is_judged
    assert (file.load() == of_it) is not is_judged
    note_first_run(Journal(state, "docker.service"), await dockerd.reality())
    assert (file.load() == of_it) is not is_judged


def test_each_step_names_its_docker_and_begins_anew_over_what_only_waited_for_another(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, "docker.service"), Journal(tmp_path, "snap.service")
    first.note("a", None, "1", 0o600, start="x")
    first.enter(Stage.RESTARTING)
    first.try_out(Trial("y", 0, 1.0))
    assert Journal(tmp_path).under_way().unit == "docker.service"
    first.wait("y")
    assert second.under_way() == UnderWay()

    second.note("b", None, "2", 0o600, start="z")

    assert second.under_way().start == "z"
    assert list(Journal(tmp_path).under_way().notes) == ["b"]
    assert first.under_way() == UnderWay()
    Journal(tmp_path).enter(Stage.RESTARTING)  # who does not know whose it is leaves the name
    assert Journal(tmp_path).under_way().unit == "snap.service"


async def test_before_docker_may_be_touched_only_files_are_put_back(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.ROLLING_BACK, Phase.STOPPED)

    await left.recover(may_restart=False)

    assert left.is_put_back
    assert left.dockerd.phase is Phase.STOPPED
    assert left.journal.under_way().stage is Stage.ROLLING_BACK
    await left.recover()
    assert left.dockerd.is_running
    assert left.journal.under_way() == UnderWay()


async def test_a_docker_that_another_boot_did_not_start_stays_stopped(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.ROLLING_BACK, Phase.STOPPED)
    left.in_another_boot()

    await left.recover()

    assert left.is_put_back
    assert left.dockerd.phase is Phase.STOPPED
    assert left.journal.under_way() == UnderWay()


async def test_what_was_written_before_a_boot_and_broke_in_it_is_rolled_back(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.WRITING, Phase.BROKEN)
    left.in_another_boot()

    await left.recover()

    assert left.is_put_back
    assert left.dockerd.is_running


async def test_without_systemd_a_dockerd_that_is_gone_after_our_restart_is_started(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.RESTARTING, Phase.STOPPED)

    await left.recover(is_systemd=False)

    assert left.is_put_back
    assert left.dockerd.is_running


async def test_settings_that_are_in_force_are_nothing_to_put_back(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.RESTARTING, Phase.RUNNING)
    await left.dockerd.restart()

    await left.recover()

    assert left.journal.under_way() == UnderWay()
    assert not left.is_put_back


class Unread(Dockerd):
    """Its systemd has not read the drop-in yet: the agent ended just before that."""

    async def reality(self, *desired: Settings) -> Reality:
        found = await super().reality(*desired)
        return msgspec.structs.replace(found, environment=Texts(), is_drop_in_loaded=False)


async def test_a_drop_in_that_systemd_has_not_read_is_not_what_docker_runs_with(tmp_path: Path) -> None:
    """Else the refused values would be what a roll-back goes back to."""
    left = Left(tmp_path, Stage.WRITING, Phase.RUNNING)
    (tmp_path / "unread").mkdir()
    dockerd = Unread(tmp_path / "unread", tmp_path / "state")
    (dockerd.root / "unit/drop-in.conf").write_text("EnvironmentFile=-dockerd.env\n")

    await recover(dockerd, dockerd, tmp_path / "state", dockerd.record(), is_systemd=True, may_restart=True)

    assert left.journal.under_way().notes[str(left.file)].before == drop_in.edit(DIRECT)


def test_a_note_does_not_show_what_it_holds() -> None:
    assert "hunter2" not in repr(UnderWay(Stage.WRITING, {"f": Note("hunter2", None, None)}))


async def test_the_start_of_another_boot_is_no_restart_by_the_agent(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.RESTARTING, Phase.RUNNING)
    await left.dockerd.restart()
    left.in_another_boot()

    await left.recover()

    assert left.dockerd.events() == []


@pytest.mark.parametrize("is_silent", [False, True], ids=["and-says-what-it-runs-with", "silent"])
async def test_a_restart_that_nobody_could_record_is_recorded(tmp_path: Path, is_silent: bool) -> None:
    left = Left(tmp_path, Stage.RESTARTING, Phase.RUNNING)
    await left.dockerd.restart()
    left.dockerd.is_silent = is_silent

    await left.recover()

    assert left.dockerd.events() == ["docker-started", "docker-restarted"]
    facts = left.dockerd.facts_of("docker-started")
    assert (facts["cause"], facts["invocation"], "effective" in facts) == ("agent", "2", not is_silent)
    assert left.journal.under_way() == UnderWay() if not is_silent else left.journal.under_way().notes
    assert not left.is_put_back


@pytest.mark.parametrize("stage", [Stage.RESTARTING, Stage.ROLLING_BACK])
async def test_a_start_that_is_recorded_already_is_not_made_twice(tmp_path: Path, stage: Stage) -> None:
    """An agent was killed before its restart, or after it had recorded it."""
    left = Left(tmp_path, stage, Phase.RUNNING)
    left.dockerd.record()(AgentStarted(version="1", unit="docker.service", effective=DIRECT, invocation="1"))

    await left.recover()

    assert [event for event in left.dockerd.events() if event.startswith("docker-")] == []


async def test_a_start_by_a_roll_back_that_was_cut_short_is_the_agents(tmp_path: Path) -> None:
    left = Left(tmp_path, Stage.ROLLING_BACK, Phase.RUNNING)
    await left.dockerd.restart()

    await left.recover()

    assert left.dockerd.events() == ["docker-started", "rolled-back"]
    assert left.dockerd.facts_of("docker-started")["cause"] == "agent"


@pytest.mark.parametrize(
    ("stage", "is_this_boot", "cause"),
    [
        pytest.param(Stage.RESTARTING, True, "agent", id="a-restart"),
        pytest.param(Stage.RESTARTING, False, "others", id="a-boot"),
    ],
)
async def test_how_long_docker_was_down_before_a_roll_back_is_in_the_log(
    tmp_path: Path, stage: Stage, is_this_boot: bool, cause: str
) -> None:
    left = Left(tmp_path, stage, Phase.BROKEN)
    if not is_this_boot:
        left.in_another_boot()

    await left.recover()

    assert left.dockerd.events() == ["docker-stopped", "docker-started", "rolled-back"]
    stopped, started = left.dockerd.facts_of("docker-stopped"), left.dockerd.facts_of("docker-started")
    assert (stopped["cause"], started["cause"]) == (cause, "agent")
    assert stopped["stopped_at"] == started["down_since"]


# A restart that is not believed yet.


class Tried(Machine):
    """Its Docker was restarted with the office's settings a moment ago."""

    async def restarted(self) -> None:
        reality = await self.dockerd.reality(OFFICE)
        made = plan(OFFICE, reality, Docker(restart=Restart.ALWAYS), OwnedDaemonJson(), is_asked_now=False)
        outcome = await self.dockerd.transaction().carry_out(made, reality)
        assert outcome.restarted_s is not None

    async def moved(self, wanted: Settings) -> None:
        """As a service that starts: what is right is written, and no restart is planned."""
        made, reality = await self.dockerd.plan(wanted)
        self.dockerd.note(reality)
        await self.dockerd.transaction().carry_out(msgspec.structs.replace(made, restart=None), reality)

    async def looked_at(self) -> None:
        await self.dockerd.recover(self.dockerd.record(), may_restart=True)

    def over(self) -> None:
        """The minute."""
        file = StateFile(self.dockerd.root / "state/journal.json", UnderWay, 1)
        was = self.journal.under_way()
        assert was.trial is not None
        file.save(msgspec.structs.replace(was, trial=msgspec.structs.replace(was.trial, until=0.0)))

    @property
    def quarantined(self) -> bool:
        return bool(Quarantine(self.dockerd.root / "state").until({"office": OFFICE}))


@pytest.fixture
async def tried(tmp_path: Path) -> Tried:
    tried = Tried(tmp_path)
    await tried.restarted()
    return tried


async def test_a_docker_that_breaks_within_the_minute_is_rolled_back_as_if_it_had_not_come_up(tried: Tried) -> None:
    tried.dockerd.refuses = OFFICE
    tried.dockerd.crash(comes_back=False)

    await tried.looked_at()

    assert tried.dockerd.is_running
    assert tried.dockerd.runs_with == DIRECT
    assert tried.quarantined
    assert tried.journal.under_way() == UnderWay()
    assert tried.dockerd.events()[-1] == "rolled-back"
    assert "within 60 s" in tried.dockerd.records()[-1]["facts"]["because"]


async def test_one_crash_is_told_and_the_second_is_rolled_back(tried: Tried) -> None:
    tried.dockerd.crash(comes_back=True)
    for _ in range(2):
        await tried.looked_at()
    assert tried.dockerd.runs_with == OFFICE
    started = [record["facts"] for record in tried.dockerd.records() if record["event"] == "docker-started"]
    assert [facts["cause"] for facts in started] == ["agent", "others"]
    assert "crashed" in started[1]["because"]

    tried.dockerd.crash(comes_back=True)
    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.quarantined
    assert tried.dockerd.events()[-2:] == ["docker-started", "rolled-back"]
    assert tried.dockerd.facts_of("docker-started")["cause"] == "agent"


async def test_a_restart_is_the_agents_though_it_was_killed_before_it_could_record_it(tried: Tried) -> None:
    (tried.dockerd.agent_state / "docker-recorded.json").unlink()
    tried.dockerd.audit.unlink()

    await tried.looked_at()
    await tried.looked_at()

    assert tried.dockerd.events() == ["log-recovered", "docker-started"]
    assert tried.dockerd.facts_of("docker-started")["cause"] == "agent"


async def test_a_crash_that_a_pass_has_seen_first_is_told_once(tried: Tried) -> None:
    tried.dockerd.crash(comes_back=True)
    record = tried.dockerd.record()
    for facts in of_docker(await tried.dockerd.reality(), record.so_far, lambda _: ""):
        record(facts)

    await tried.dockerd.recover(record, may_restart=True)

    started = [record["facts"] for record in tried.dockerd.records() if record["event"] == "docker-started"]
    assert [facts["cause"] for facts in started] == ["agent", "others"]
    assert "crashed" in started[1]["because"]


@pytest.mark.parametrize("why", ["a-container-started", "systemd-refused"])
async def test_a_crash_counts_although_another_restart_came_to_nothing_after_it(tried: Tried, why: str) -> None:
    """systemd counts from 0 again once its start limit was lifted for that restart."""
    dockerd = tried.dockerd
    elsewhere = settings("http://elsewhere:3128", "http://elsewhere:3128", "localhost")
    dockerd.crash(comes_back=True)
    await tried.looked_at()
    made, reality = await dockerd.plan(elsewhere)
    assert made.restarts
    restart = dockerd.restart
    if why == "a-container-started":
        dockerd.containers = 1
    else:
        dockerd.restart = _refused  # type: ignore[method-assign]
    with contextlib.suppress(NotTried):
        assert (await dockerd.transaction().carry_out(made, reality)).deferred
    dockerd.containers, dockerd.restart = 0, restart  # type: ignore[method-assign]

    dockerd.crash(comes_back=True)
    await tried.looked_at()

    assert dockerd.runs_with == DIRECT
    assert dockerd.events()[-1] == "rolled-back"


@pytest.mark.parametrize("crashes", [1, 2], ids=["failed", "is-up-again"])
async def test_what_hangs_on_docker_is_up_again_after_a_roll_back_within_the_minute(
    tmp_path: Path, crashes: int
) -> None:
    """The crash has taken one of them along, and the stop of a Docker that is up again takes all."""
    tried = Tried(tmp_path)
    tried.dockerd.units = {"stack.service": True, "bound.service": True}
    await tried.restarted()
    tried.dockerd.units |= {"late.service": True, "bound.service": False}
    for _ in range(crashes):
        tried.dockerd.crash(comes_back=crashes > 1)

    await tried.looked_at()

    assert tried.dockerd.units == {"stack.service": True, "bound.service": True, "late.service": True}
    assert tried.dockerd.runs_with == DIRECT


@pytest.mark.parametrize("is_silent", [False, True])
async def test_what_went_down_in_a_first_crash_is_up_after_the_roll_back_of_a_docker_that_a_client_woke(
    tmp_path: Path, is_silent: bool
) -> None:
    """systemd counts no restart for that start, so it looks like one by a person, and has a minute of its own.

    Or it does not say what it runs with before it is down again.
    """
    tried = Tried(tmp_path)
    tried.dockerd.units = {"stack.service": True, "bound.service": True}
    await tried.restarted()
    tried.dockerd.crash(comes_back=False)
    tried.dockerd.units |= {"bound.service": False}
    await tried.dockerd.wake()
    tried.dockerd.is_silent = is_silent
    await tried.looked_at()
    tried.dockerd.is_silent = False
    assert tried.dockerd.runs_with == OFFICE
    assert tried.journal.under_way().trial is not None

    tried.dockerd.crash(comes_back=False)
    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.dockerd.facts_of("rolled-back")["started_again"] == ["bound.service"]
    assert tried.dockerd.units == {"stack.service": True, "bound.service": True}


async def test_what_hangs_on_a_docker_that_came_up_while_no_agent_looked_is_known_for_its_minute(
    tmp_path: Path,
) -> None:
    """The agent died in the middle of its restart: the next one starts what is down, and the minute begins."""
    tried = Tried(tmp_path)
    await tried.moved(OFFICE)
    tried.journal.enter(Stage.RESTARTING, ("bound.service",))
    await tried.dockerd.restart()
    tried.dockerd.units = {"bound.service": False}
    await tried.looked_at()
    assert tried.dockerd.units == {"bound.service": True}

    tried.dockerd.crash(comes_back=False)
    tried.dockerd.units = {"bound.service": False}
    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.dockerd.units == {"bound.service": True}


async def test_what_hangs_on_a_docker_that_a_person_restarted_is_up_after_its_roll_back(tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    tried.dockerd.units, tried.dockerd.comes_back = {"bound.service": True}, {"bound.service"}
    await tried.moved(OFFICE)
    await tried.dockerd.restart()
    tried.dockerd.note(await tried.dockerd.reality(OFFICE))

    tried.dockerd.crash(comes_back=False)
    tried.dockerd.units = {"bound.service": False}
    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.dockerd.units == {"bound.service": True}


@pytest.mark.parametrize(
    "why", ["a-container-started", "at-last", "the-file-changed", "systemd-refused", "a-broken-file"]
)
async def test_a_restart_that_comes_to_nothing_leaves_the_one_before_on_trial(tried: Tried, why: str) -> None:
    """Its roll-back goes back to what ran before it, and the last good file is that one's."""
    dockerd, file = tried.dockerd, tried.dockerd.root / "etc/daemon.json"
    elsewhere = settings("http://elsewhere:3128", "http://elsewhere:3128", "localhost")
    reality = await dockerd.reality(elsewhere)
    made = plan(elsewhere, reality, Docker(), OwnedDaemonJson(), is_asked_now=False)
    assert made.restarts
    was, standing = tried.journal.under_way(), dockerd.files()
    if why == "a-container-started":
        dockerd.containers = 1
    elif why == "at-last":
        once_counted(dockerd, lambda: setattr(dockerd, "containers", 1))
    elif why == "the-file-changed":
        file.write_text("{}")
    elif why == "systemd-refused":
        dockerd.restart = _refused  # type: ignore[method-assign]
    else:
        file.write_text("{}")
        dockerd.binary = str(_validates_nothing(tried.dockerd.root))
        reality = await dockerd.reality(elsewhere)
    with contextlib.suppress(Changed, NotTried):
        outcome = await dockerd.transaction().carry_out(made, reality)
        assert outcome.deferred
        assert outcome.written == ()

    assert tried.journal.under_way() == was
    file.unlink(missing_ok=True)
    assert dockerd.files() == standing
    dockerd.refuses = OFFICE
    dockerd.crash(comes_back=False)
    await tried.looked_at()
    assert dockerd.runs_with == DIRECT
    assert tried.quarantined


async def _refused(at_last: AtLast = nothing) -> UnitState:
    raise NotTried("docker.service", "systemd does not take the job")


def _validates_nothing(root: Path) -> Path:
    binary = root / "dockerd"
    binary.write_text("#!/bin/sh\necho unable to configure the Docker daemon >&2\nexit 1\n")
    binary.chmod(0o755)
    return binary


async def test_the_minute_begins_anew_with_the_next_boot(tried: Tried) -> None:
    """Docker is only starting when an agent of this boot looks first."""
    tried.in_another_boot()
    await tried.dockerd.restart()
    await tried.looked_at()
    assert tried.journal.under_way().trial is not None

    tried.dockerd.refuses = OFFICE
    tried.dockerd.crash(comes_back=False)
    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.dockerd.is_running
    assert tried.quarantined


async def test_what_could_not_start_in_the_next_boot_because_docker_did_not_is_started(tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    tried.dockerd.units = {"stack.service": True}
    await tried.restarted()
    tried.in_another_boot()
    tried.dockerd.units = {"stack.service": False}
    tried.dockerd.refuses = OFFICE
    tried.dockerd.crash(comes_back=False)

    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.dockerd.units == {"stack.service": True}


async def test_what_hangs_on_docker_is_left_to_a_boot_in_which_it_came_up_and_is_known_for_its_minute(
    tmp_path: Path,
) -> None:
    tried = Tried(tmp_path)
    tried.dockerd.units = {"stack.service": True}
    await tried.restarted()
    file = StateFile(tmp_path / "state/journal.json", UnderWay, 1)
    file.save(msgspec.structs.replace(tried.journal.under_way(), units=("stack.service",)))
    tried.in_another_boot()
    tried.dockerd.units = {"stack.service": False}
    await tried.looked_at()
    assert tried.dockerd.units == {"stack.service": False}

    tried.dockerd.refuses = OFFICE
    tried.dockerd.crash(comes_back=False)
    await tried.looked_at()

    assert tried.dockerd.units == {"stack.service": True}


async def test_what_passed_in_the_next_boot_is_believed(tried: Tried) -> None:
    tried.in_another_boot()
    await tried.dockerd.restart()
    await tried.looked_at()
    tried.over()

    await tried.looked_at()

    assert tried.journal.under_way() == UnderWay()
    assert tried.dockerd.runs_with == OFFICE


async def test_a_docker_that_the_next_boot_does_not_start_is_left_alone(tried: Tried) -> None:
    tried.in_another_boot()
    tried.dockerd.phase = Phase.STOPPED

    for _ in range(2):
        await tried.looked_at()

    assert tried.journal.under_way().trial is None
    assert tried.dockerd.phase is Phase.STOPPED


async def test_who_is_told_to_stop_while_such_a_docker_is_put_back_leaves_none_down(tried: Tried) -> None:
    for _ in range(2):
        tried.dockerd.crash(comes_back=True)
    looking = asyncio.create_task(tried.looked_at())

    async def for_ever() -> None:
        tried.dockerd.while_it_stops = None
        looking.cancel()
        await asyncio.sleep(60)

    tried.dockerd.while_it_stops = for_ever
    with pytest.raises(asyncio.CancelledError):
        await looking

    assert tried.dockerd.runs_with == DIRECT
    assert tried.journal.under_way().stage is Stage.ROLLING_BACK


async def test_a_docker_that_somebody_stops_within_the_minute_stays_so(tried: Tried) -> None:
    tried.dockerd.phase = Phase.STOPPED

    await tried.looked_at()

    assert tried.dockerd.phase is Phase.STOPPED
    assert tried.journal.under_way().trial is None
    assert not tried.quarantined


async def test_a_docker_that_somebody_restarts_within_the_minute_has_it_anew(tried: Tried) -> None:
    await tried.dockerd.restart()
    await tried.looked_at()
    tried.dockerd.refuses = OFFICE
    tried.dockerd.crash(comes_back=False)

    await tried.looked_at()

    assert tried.dockerd.runs_with == DIRECT
    assert tried.quarantined


@pytest.mark.parametrize("wanted", [OFFICE, HOME], ids=["as-it-was", "with-a-move"])
@pytest.mark.parametrize("where", ["in-the-next-boot", "by-a-person"])
async def test_a_docker_that_is_stopped_within_the_minute_has_it_with_its_next_start(
    tried: Tried, where: str, wanted: Settings
) -> None:
    """What is written until then has not been tried, and what it ran with before stays known."""
    dockerd = tried.dockerd
    if where == "in-the-next-boot":
        tried.in_another_boot()
    dockerd.somebody_stops_it()
    await tried.moved(wanted)
    await tried.looked_at()
    assert dockerd.phase is Phase.STOPPED
    dockerd.refuses = wanted
    with contextlib.suppress(RestartFailed):
        await dockerd.start()

    await tried.looked_at()

    assert dockerd.is_running
    assert dockerd.runs_with == DIRECT
    assert dockerd.events()[-1] == "rolled-back"


async def test_a_stopped_docker_that_comes_up_with_what_was_tried_is_believed_after_a_minute(tried: Tried) -> None:
    tried.dockerd.somebody_stops_it()
    await tried.looked_at()
    await tried.dockerd.start()
    await tried.looked_at()
    assert tried.journal.under_way().trial is not None
    tried.over()

    await tried.looked_at()

    assert tried.journal.under_way() == UnderWay()
    assert tried.dockerd.runs_with == OFFICE


async def test_what_is_written_before_a_start_by_somebody_else_was_seen_goes_back_to_what_that_runs_with(
    tmp_path: Path,
) -> None:
    """An agent writes before Docker has started, and plans no restart then."""
    tried = Tried(tmp_path)
    dockerd = tried.dockerd
    await tried.moved(OFFICE)
    await dockerd.restart()
    await dockerd.recover(dockerd.record(), may_restart=False)

    await tried.moved(HOME)
    await tried.looked_at()
    dockerd.refuses = HOME
    made, reality = await dockerd.plan(HOME)
    outcome = await dockerd.transaction().carry_out(made, reality)

    assert outcome.rolled_back
    assert dockerd.is_running
    assert dockerd.runs_with == OFFICE
    assert tried.file.read_text() == drop_in.edit(OFFICE)


async def test_what_was_written_under_a_trial_is_not_believed_with_it(tried: Tried) -> None:
    """As where dockerd did not say what it runs with when it was written."""
    dockerd = tried.dockerd
    dockerd.is_silent = True
    await tried.moved(HOME)
    dockerd.is_silent = False
    tried.over()

    await tried.looked_at()

    assert tried.journal.under_way().notes
    dockerd.refuses = HOME
    with contextlib.suppress(RestartFailed):
        await dockerd.restart()
    await tried.looked_at()
    assert dockerd.is_running
    assert dockerd.runs_with == DIRECT


@pytest.mark.parametrize(("ago_s", "is_on_trial"), [(1, True), (30, True), (61, False), (3600, False)])
async def test_a_minute_that_was_over_before_anybody_looked_is_over(
    tmp_path: Path, ago_s: float, is_on_trial: bool
) -> None:
    tried = Tried(tmp_path)
    await tried.moved(OFFICE)
    await tried.dockerd.restart()
    found = await tried.dockerd.reality(OFFICE)
    unit = msgspec.structs.replace(found.unit, since=time.monotonic() - ago_s)

    note_first_run(tried.journal, msgspec.structs.replace(found, unit=unit))

    assert (tried.journal.under_way().trial is not None) is is_on_trial
    assert (tried.journal.under_way() == UnderWay()) is not is_on_trial


async def test_after_the_minute_there_is_nothing_to_go_back_to(tried: Tried) -> None:
    await tried.looked_at()
    assert tried.journal.under_way().trial is not None
    tried.over()
    await tried.looked_at()
    assert tried.journal.under_way() == UnderWay()

    tried.dockerd.crash(comes_back=False)
    await tried.looked_at()

    assert tried.dockerd.phase is Phase.BROKEN
    assert "rolled-back" not in tried.dockerd.events()


async def test_the_next_change_takes_its_place(tried: Tried) -> None:
    """And its roll-back goes one step back, not two."""
    home = settings("http://home:3128", "http://home:3128", "localhost")
    made, reality = await tried.dockerd.plan(home)
    await tried.dockerd.transaction().carry_out(made, reality)
    tried.dockerd.refuses = home
    tried.dockerd.crash(comes_back=False)

    await tried.looked_at()

    assert tried.dockerd.runs_with == OFFICE


async def test_what_dockerd_died_of_is_not_kept_as_its_last_good_file(tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    last_good = tmp_path / "state/last-good.json"
    good = json.loads(last_good.read_text())["state"]["text"]
    made, reality = await tried.dockerd.plan(OFFICE, Method.DAEMON_JSON)
    await tried.dockerd.transaction().carry_out(made, reality)
    assert "office" in json.loads(last_good.read_text())["state"]["text"]
    tried.dockerd.refuses = OFFICE
    tried.dockerd.crash(comes_back=False)

    await tried.looked_at()

    assert json.loads(last_good.read_text())["state"]["text"] == good
    assert tried.dockerd.text("etc/daemon.json") == good


async def test_where_neither_of_two_that_were_tried_starts_again_the_last_believed_file_does(tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    good = tried.dockerd.text("etc/daemon.json")
    for url in ("http://office:3128", "http://home:3128"):
        wanted = settings(url, url, "localhost")
        reality = await tried.dockerd.reality(wanted)
        made, reality = await tried.dockerd.plan(wanted, Method.DAEMON_JSON, tried.dockerd.owned(reality))
        await tried.dockerd.transaction().carry_out(made, reality)
        assert tried.dockerd.runs_with == wanted
    tried.dockerd.refuses_file = "proxies"
    tried.dockerd.crash(comes_back=False)

    await tried.looked_at()

    assert tried.dockerd.is_running
    assert tried.dockerd.text("etc/daemon.json") == good


# A start that somebody else made with what waited.


async def restarted_by_a_person(root: Path) -> Tried:
    """With what waited for a restart, and does not start."""
    tried = Tried(root)
    reality = await tried.dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(restart=Restart.NEVER), OwnedDaemonJson(), is_asked_now=False)
    await tried.dockerd.transaction().carry_out(made, reality)
    tried.dockerd.refuses = OFFICE
    with pytest.raises(RestartFailed):
        await tried.dockerd.restart()
    return tried


@pytest.mark.parametrize(("restarts", "runs"), [(0, False), (1, False), (2, True), (3, True)])
@pytest.mark.parametrize("stuck", [False, True], ids=["fails", "takes-too-long"])
async def test_what_waited_and_only_ever_crashes_is_rolled_back(
    tmp_path: Path, restarts: int, runs: bool, stuck: bool
) -> None:
    """A unit without a start limit, or one whose starts fail slowly, is never `failed`."""
    tried = await restarted_by_a_person(tmp_path)
    dockerd = tried.dockerd
    dockerd.comes_back_by_itself, dockerd.restarts, dockerd.is_stuck_in_stop = True, restarts, stuck

    await tried.looked_at()

    assert dockerd.is_running is runs
    assert tried.quarantined is runs
    if runs:
        assert dockerd.runs_with == DIRECT
        assert tried.journal.under_way() == UnderWay()


async def test_a_stop_of_such_a_docker_that_did_not_end_in_time_is_no_crash(tmp_path: Path) -> None:
    tried = await restarted_by_a_person(tmp_path)
    tried.dockerd.is_stuck_in_stop = True

    await tried.looked_at()

    assert tried.dockerd.phase is Phase.BROKEN
    assert not tried.quarantined


async def test_a_docker_that_breaks_later_without_having_been_given_what_was_written_is_left_alone(
    dockerd: Dockerd,
) -> None:
    """Our own restart is no start that has read it, if its unit gave it something else."""
    dockerd.gets_instead = Texts("http://theirs:1", "http://theirs:1", "localhost")
    made, reality = await dockerd.plan(OFFICE)
    outcome = await dockerd.transaction().carry_out(made, reality)
    assert outcome.otherwise is not None
    standing = dockerd.files()
    dockerd.crash(comes_back=False)

    await dockerd.recover(dockerd.record(), may_restart=True)

    assert dockerd.phase is Phase.BROKEN
    assert "rolled-back" not in dockerd.events()
    assert dockerd.files() == standing
    dockerd.gets_instead, dockerd.refuses = None, OFFICE
    with contextlib.suppress(RestartFailed):
        await dockerd.start()
    await dockerd.recover(dockerd.record(), may_restart=True)
    assert dockerd.is_running
    assert dockerd.runs_with == DIRECT


@pytest.mark.parametrize("says", ['{"unknown": 1}', '{"debug": true,}'], ids=["a-key", "no-json"])
@pytest.mark.parametrize("boot", ["this", "another"])
async def test_a_file_that_somebody_else_broke_stays_where_it_is_though_something_of_ours_waits(
    tmp_path: Path, says: str, boot: str
) -> None:
    """As where nothing waits. What waits goes on to."""
    tried = Tried(tmp_path)
    dockerd = tried.dockerd
    reality = await dockerd.reality(OFFICE)
    made = plan(OFFICE, reality, Docker(restart=Restart.NEVER), OwnedDaemonJson(), is_asked_now=False)
    await dockerd.transaction().carry_out(made, reality)
    (tmp_path / "etc/daemon.json").write_text(says)
    dockerd.binary, dockerd.refuses_file = str(_validates_nothing(tmp_path)), says
    with pytest.raises(RestartFailed):
        await dockerd.restart()
    if boot == "another":
        tried.in_another_boot()

    await tried.looked_at()

    assert dockerd.phase is Phase.BROKEN
    assert dockerd.text("etc/daemon.json") == says
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["daemon.json", "dockerd.env"]
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert not tried.quarantined
    assert "rolled-back" not in dockerd.events()

    (tmp_path / "etc/daemon.json").write_text("{}")  # mended; and now ours is what it does not start with
    (tmp_path / "dockerd").write_text("#!/bin/sh\nexit 0\n")
    dockerd.refuses, dockerd.refuses_file = OFFICE, ""
    with pytest.raises(RestartFailed):
        await dockerd.start()
    await tried.looked_at()
    assert dockerd.runs_with == DIRECT
    assert dockerd.text("etc/daemon.json") == "{}"

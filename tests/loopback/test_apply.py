"""The transaction on real files, with a dockerd that can be told how to behave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.apply import Transaction
from agent.audit.log import AuditLog
from agent.decide.plan import Owned, Plan, plan
from agent.dockerd import Engine, Phase, Reality, UnitState
from agent.errors import NotInForce, RestartFailed, TargetFailed
from agent.files import Changed
from agent.originals import Originals
from agent.policy import Docker, Method
from agent.record import Record
from agent.settings import DIRECT, Settings, Texts, settings
from agent.targets import daemon_json, drop_in
from agent.text_files import read_text

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
FOREIGN = '{\n\t"proxies": {"http-proxy": "http://u:hunter2@foreign:1"}\n}\n'


class Dockerd:
    """A dockerd and its unit: reads its files when it starts, and refuses or changes settings if it is told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.audit = root / "log/audit.jsonl"
        self.refuses: Settings | None = None  # does not start with these
        self.takes_instead: Texts | None = None  # reports these, whatever is written
        self.containers = 0
        self.starts = 0
        self.is_running = False
        self.seen_at_reload: list[str] = []
        self._running = Texts()
        for folder in ("log", "etc", "unit"):
            (root / folder).mkdir()
        self._boot()

    # What a transaction asks of who runs Docker

    async def state(self) -> UnitState:
        phase = Phase.RUNNING if self.is_running else Phase.BROKEN
        return UnitState(phase, invocation=str(self.starts))

    async def daemon_reload(self) -> None:
        self.seen_at_reload = self.events()

    async def restart(self, before: UnitState) -> UnitState:
        return await self.start()

    async def stop(self) -> None:
        self.is_running = False

    async def start(self) -> UnitState:
        self._boot()
        if not self.is_running:
            raise RestartFailed("docker.service", "did not come up")
        return await self.state()

    # What a look sees

    async def reality(self, desired: Settings) -> Reality:
        values = self.text("etc/dockerd.env")
        return Reality(
            unit=await self.state(),
            engine=Engine("26", (1, 45), False, self._running, False, False, self.containers)
            if self.is_running
            else None,
            takes_proxies=True,
            environment=drop_in.read(values or ""),
            running_environment=None,
            daemon_json_path=str(self.root / "etc/daemon.json"),
            daemon_json=self.text("etc/daemon.json"),
            environment_file_path=str(self.root / "etc/dockerd.env"),
            environment_file=values,
            drop_in_path=str(self.root / "unit/drop-in.conf"),
            drop_in=self.text("unit/drop-in.conf"),
            is_drop_in_loaded=self.text("unit/drop-in.conf") is not None,
        )

    # What a test asks

    async def plan(
        self, desired: Settings, method: Method = Method.AUTO, owned: Owned = Owned()
    ) -> tuple[Plan, Reality]:
        reality = await self.reality(desired)
        return plan(desired, reality, Docker(method=method), owned, is_asked_now=False), reality

    def transaction(self) -> Transaction:
        log = AuditLog(self.audit, self.root / "state")
        return Transaction(self, self, self.root / "state", Record(log, "1", "test"), reports_within_s=0.5)

    def text(self, name: str) -> str | None:
        return read_text(self.root / name)

    def files(self) -> dict[str, bytes]:
        folders = (self.root / "etc", self.root / "unit")
        return {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}

    def events(self) -> list[str]:
        return [record["event"] for record in self.records()]

    def records(self) -> list[dict[str, str]]:
        lines = self.audit.read_text().splitlines() if self.audit.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def runs_with(self) -> Settings:
        return self._running.meaning()

    def _boot(self) -> None:
        self.starts += 1
        file = daemon_json.texts(self.text("etc/daemon.json"))
        wanted = file.over(drop_in.read(self.text("etc/dockerd.env") or ""))
        self.is_running = wanted.meaning() != self.refuses
        self._running = self.takes_instead or wanted


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def test_written_restarted_and_reported(dockerd: Dockerd) -> None:
    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.restarted_s is not None
    assert not outcome.is_failed
    assert dockerd.runs_with == OFFICE
    assert dockerd.starts == 2
    assert dockerd.events() == ["apply-started", "settings-written", "docker-restarted"]
    assert (dockerd.root / "etc/dockerd.env").stat().st_mode & 0o777 == 0o600
    assert (dockerd.root / "unit/drop-in.conf").stat().st_mode & 0o777 == 0o644


async def test_the_intent_is_on_disk_before_the_first_write(dockerd: Dockerd) -> None:
    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert dockerd.seen_at_reload == ["apply-started"]


async def test_a_dockerd_that_does_not_start_gets_its_old_files_and_runs(dockerd: Dockerd) -> None:
    (dockerd.root / "etc/daemon.json").write_text(FOREIGN)
    dockerd.refuses = OFFICE
    before = dockerd.files()

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.is_failed
    assert "did not come up" in outcome.rolled_back
    assert dockerd.files() == before
    assert dockerd.is_running
    assert dockerd.events()[-1] == "rolled-back"
    assert "hunter2" not in dockerd.audit.read_text()


async def test_a_dockerd_that_runs_with_something_else_gets_its_old_files(dockerd: Dockerd) -> None:
    """A value that Go cannot parse is dropped, and dockerd goes direct: the restart "worked"."""
    dockerd.takes_instead = Texts(http="http://office:3128")

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert "runs with other settings than were written: http http://office:3128" in outcome.rolled_back
    assert dockerd.files() == {}
    assert dockerd.is_running


async def test_a_container_that_runs_defers_the_restart_and_not_the_write(dockerd: Dockerd) -> None:
    dockerd.containers = 1

    outcome = await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))

    assert outcome.deferred.startswith("1 container runs")
    assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    assert dockerd.starts == 1
    assert dockerd.events() == ["apply-started", "settings-written", "restart-deferred"]


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


async def test_somebody_elses_values_are_kept_and_said_once(dockerd: Dockerd) -> None:
    file = dockerd.root / "etc/daemon.json"
    file.write_text(FOREIGN)
    dockerd._boot()

    await dockerd.transaction().carry_out(*await dockerd.plan(OFFICE))
    owned = Owned(True, FOREIGN)
    await dockerd.transaction().carry_out(*await dockerd.plan(DIRECT, owned=owned))

    assert dockerd.events().count("adopted") == 1
    original = Originals(dockerd.root / "state").of(str(file))
    assert original is not None
    assert original.text == FOREIGN
    assert "hunter2" not in dockerd.audit.read_text()
    assert (dockerd.root / "state/originals.json").stat().st_mode & 0o777 == 0o600
    assert (dockerd.root / "state").stat().st_mode & 0o777 == 0o700


async def test_a_dockerd_that_never_reports_is_not_in_force(dockerd: Dockerd) -> None:
    class Silent(Dockerd):
        async def reality(self, desired: Settings) -> Reality:
            seen = await Dockerd.reality(self, desired)
            return seen if self.starts != 2 else Reality(seen.unit)

    (dockerd.root / "silent").mkdir()
    silent = Silent(dockerd.root / "silent")

    outcome = await silent.transaction().carry_out(*await silent.plan(OFFICE))

    assert str(NotInForce("docker", "did not report within 0 s what it runs with")) in outcome.rolled_back
    assert silent.is_running

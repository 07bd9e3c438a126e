"""A dockerd that can be told how to behave, on real files below a folder of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.decide.plan import OwnedDaemonJson, Plan, plan, without_ours
from agent.decide.probation import Trial
from agent.docker import process, validate
from agent.docker.journal import Journal, UnderWay
from agent.docker.last_good import LastGood
from agent.docker.ports import AtLast, nothing
from agent.docker.quarantine import Quarantine
from agent.docker.recover import note_first_run, recover
from agent.docker.theirs import owned
from agent.docker.transaction import Applied, Transaction
from agent.system.text_files import read_text
from agent.targets import daemon_json, drop_in
from agent.targets.container import Carried
from agent.targets.refused import TextRefused
from agent.values.dockerd import Engine, FileFault, FileHistory, Layer, Phase, Reality, Running, UnitState
from agent.values.errors import AgentError, ByOthers, EngineSilent, RestartFailed, TargetFailed, UnitFailed
from agent.values.policy import Docker, Method
from agent.values.settings import Settings, Texts


class Dockerd:
    """A dockerd and its unit: reads its files when it starts, and refuses or changes settings if it is told to."""

    STEP: Final = "dockerd.step"  # Python's audit event of whatever is done to it
    LOOK: Final = "dockerd.look"  # and of whatever it is asked

    def __init__(self, root: Path, state: Path | None = None) -> None:
        self.root = root
        self.agent_state = state or root / "state"  # of the agent
        self.audit = root / "log/audit.jsonl"
        self.refuses: Settings | None = None  # does not start with these
        self.binary = ""  # that is asked to validate the file
        self.arguments: tuple[str, ...] = ()  # that its unit gives it
        self.version = 26
        self.refuses_file = ""  # does not start with a daemon.json that holds this
        self.takes_instead: Texts | None = None  # reports these, whatever is written
        self.gets_instead: Texts | None = None  # in its environment, whatever its unit gives it
        self.containers = 0
        self.carried_by: tuple[Carried, ...] | None = None  # containers that run
        self.live_restore = False
        self.is_silent = False  # runs, and does not answer
        self.is_info_silent = False  # answers, but not what it runs with
        self.takes_live_restore = True  # switches it on and off when it reads its file again
        self.can_reload = True
        self.system_goes_down = False  # systemd starts and reloads nothing any more
        self.killed = 0  # containers, by a start without live-restore
        self.shims_in_unit = False
        self.environment = Texts()  # that its unit gives it without us
        self.beaten: tuple[Layer, ...] = ()  # where the unit has it from
        self._got = Texts()  # that it was started with
        self.loses = 0  # containers, at the next start, whatever live-restore says
        self.auto_removed = 0  # of the containers, the last ones: `docker run --rm`
        self.starts_anew = 0  # containers that die at the next start, and come up again by themselves
        self.transfer = ""
        self.units: dict[str, bool] = {}  # that hang on it, and whether they are up
        self.comes_back: set[str] = set()  # of those, what systemd starts again after a restart by itself
        self.fails_again = ""  # why none of them can be started
        self.starts = 0
        self.restarts = 0  # automatic ones since the last start by a job
        self.comes_back_by_itself = False
        self.is_stuck_in_stop = False  # or in a start
        self.recovered: list[bool] = []  # whether Docker might be restarted, each time
        self._phase = Phase.STOPPED
        self._moved_at = self._left_at = 0.0  # CLOCK_MONOTONIC
        self.while_it_stops: Callable[[], Awaitable[object]] | None = None
        self.before_it_stops: Callable[[], object] = lambda: None
        self.before_it_starts: Callable[[], object] = lambda: None
        self.after_it_started: Callable[[], Awaitable[object]] | None = None
        self.seen_at_reload: list[str] = []
        self._stops = 0  # by somebody
        self._running = Texts()
        self._since: dict[int, str] = {}  # when a container came up again
        self._ran_since = 0  # the containers
        for folder in ("log", "etc", "unit"):
            (root / folder).mkdir(exist_ok=True)
        self._boot()
        # An agent has seen it run like that: there is something to go back to.
        self.last_good = LastGood(self.agent_state)
        self.last_good.keep(str(root / "etc/daemon.json"), self._read)

    # What a transaction asks of who runs Docker

    async def state(self) -> UnitState:
        sys.audit(self.LOOK)
        return self._unit()

    def _unit(self) -> UnitState:
        return UnitState(
            self.phase,
            invocation=str(self.starts),
            restarts=self.restarts,
            comes_back=self.comes_back_by_itself,
            is_stuck_in_stop=self.is_stuck_in_stop,
            since=self._moved_at,
            left_at=self._left_at,
        )

    @property
    def phase(self) -> Phase:
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._moves_to(phase)

    def _moves_to(self, phase: Phase) -> None:
        now = time.monotonic()
        if self.is_running:
            self._left_at = now
        self._phase, self._moved_at = phase, now

    async def goes_down(self) -> bool:
        return self.system_goes_down

    async def daemon_reload(self) -> None:
        sys.audit(self.STEP)
        self.seen_at_reload = self.events()

    async def reload(self) -> None:
        sys.audit(self.STEP)
        self._unless_going_down("reload")
        if not self.can_reload or not self.is_running:
            raise UnitFailed("systemctl reload", "not applicable")
        said = daemon_json.live_restore(self.text("etc/daemon.json"))
        if said is not None and self.takes_live_restore:
            self.live_restore = said

    async def lift_start_limit(self) -> None:
        """It may be started as often as one likes, and systemd's count of restarts begins anew."""
        self.restarts = 0

    async def restart(self, at_last: AtLast = nothing) -> UnitState:
        if not self.is_running:
            raise ByOthers("docker.service", f"is {self.phase.value} now")
        await at_last()
        was_up = {unit for unit, is_up in self.units.items() if is_up}
        self._units_down()
        started = await self._started()
        self.units |= dict.fromkeys(was_up & self.comes_back, True)
        return started

    async def stop(self) -> None:
        sys.audit(self.STEP)
        is_failed = self.phase is Phase.BROKEN
        self.before_it_stops()
        if self.while_it_stops is not None:
            self.phase = Phase.STOPPED
            await self.while_it_stops()
        self.phase = Phase.STOPPED
        if not is_failed:
            self._units_down()

    async def start_again(self, units: Sequence[str]) -> tuple[str, ...]:
        sys.audit(self.STEP)
        self._unless_going_down("start")
        down = tuple(unit for unit in units if not self.units[unit])
        if not self.is_running:  # they would wake it
            return ()
        if down and self.fails_again:
            raise UnitFailed("systemctl start", self.fails_again)
        self.units |= dict.fromkeys(down, True)
        return down

    def _unless_going_down(self, what: str) -> None:
        if self.system_goes_down:
            raise UnitFailed(f"systemctl {what}", "Transaction for docker.service is destructive")

    def _units_down(self) -> None:
        self.units = dict.fromkeys(self.units, False)

    async def hanging(self, _state: UnitState) -> tuple[str, ...]:
        return self._hanging

    @property
    def _hanging(self) -> tuple[str, ...]:
        return tuple(sorted(unit for unit, is_up in self.units.items() if is_up))

    async def start_unwatched(self) -> None:
        await self.start()

    async def start(self) -> UnitState:
        if self.phase in {Phase.RUNNING, Phase.STARTING}:  # as systemd: there is nothing to do
            self.phase = Phase.RUNNING
            return await self.state()
        if self.phase is Phase.BROKEN:
            await self.stop()
        return await self._started()

    async def _started(self) -> UnitState:
        stops = self._stops
        sys.audit(self.STEP)
        self._unless_going_down("start")
        self.before_it_starts()
        if self._stops != stops:  # the other job took the place of this one
            raise ByOthers("docker.service", f"is {self.phase.value} now")
        self.restarts = 0
        self._boot()
        if not self.is_running:
            raise RestartFailed("docker.service", "did not come up")
        if self.after_it_started is not None:
            await self.after_it_started()
        return await self.state()

    # What a look sees

    def under_way(self) -> UnderWay:
        return Journal(self.agent_state).under_way()

    def is_to_be_judged(self, trial: Trial) -> bool:
        return not self.is_running or str(self.starts) != trial.invocation or time.monotonic() >= trial.until

    def crash(self, *, comes_back: bool) -> None:
        """dockerd dies by itself; systemd brings it up again, or not. What hangs on it goes on."""
        self.phase = Phase.BROKEN
        if comes_back:
            self._boot()
            self.restarts += 1

    async def wake(self) -> None:
        """A client connects to the socket, and systemd starts Docker. What hangs on it stays as it is."""
        await self._started()

    def somebody_stops_it(self) -> None:
        """As `systemctl stop docker` does, also one that is about to start; one that broke stays so."""
        self._stops += 1
        if self.phase is not Phase.BROKEN:
            self.phase = Phase.STOPPED
            self._units_down()

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        self.recovered.append(may_restart)
        unit = "docker.service"
        return await recover(self, self, self.agent_state, record, is_systemd=True, may_restart=may_restart, unit=unit)

    async def engine(self) -> Engine | None:
        stops = self._stops
        sys.audit(self.LOOK)
        if self._stops != stops:
            raise EngineSilent("docker.sock", "the connection broke off")
        if not self.is_running:
            return None
        if self.is_silent:
            raise EngineSilent("docker.sock", "no answer")
        if self.is_info_silent:
            api = (1, 45 if self.version >= 23 else 41)
            return Engine(str(self.version), api, False, None, None, None, self.containers)
        return Engine(
            str(self.version),
            (1, 45 if self.version >= 23 else 41),
            False,
            self._running,
            self.live_restore,
            False,
            self.containers,
        )

    async def busy_now(self, found: Reality) -> Reality:
        try:
            engine, silence = await self.engine(), ""
        except EngineSilent as error:
            engine, silence = None, str(error)
        now = {"engine": engine, "silence": silence, "transfer": self.transfer, "hanging": self._hanging}
        return msgspec.structs.replace(found, **now)

    async def running(self) -> frozenset[Running]:
        await self.engine()
        first = self.containers - self.auto_removed
        return frozenset(
            Running(str(one), self._since.get(one, ""), f"container-{one}", is_auto_removed=one >= first)
            for one in range(self.containers)
        )

    async def carried(self, *, anew: bool = False) -> tuple[Carried, ...] | None:
        return self.carried_by if self.is_running and not self.is_silent else None

    def known(self) -> Reality | None:
        """It is looked at each time."""
        return None

    async def reality(self, *desired: Settings) -> Reality:
        values = self.text("etc/dockerd.env")
        file, fault = self._daemon_json()
        try:
            engine = await self.engine()
        except EngineSilent:
            engine = None
        return Reality(
            unit=await self.state(),
            engine=engine,
            transfer=self.transfer,
            hanging=self._hanging,
            shims_in_unit=self.shims_in_unit,
            takes_proxies=self.version >= 23,
            binary=self.binary,
            arguments=self.arguments,
            flags=process.flags(("dockerd", *self.arguments)),
            are_flags_read=self.is_running,
            environment=self._environment(),
            foreign_environment=self.environment,
            beaten=self.beaten,
            running_environment=self._got if self.is_running else None,
            daemon_json_path=str(self.daemon_json),
            daemon_json=file,
            daemon_json_fault=fault,
            file=FileHistory() if fault else self._history(),
            environment_file_path=str(self.root / "etc/dockerd.env"),
            environment_file=values,
            drop_in_path=str(self.root / "unit/drop-in.conf"),
            drop_in=self.text("unit/drop-in.conf"),
            is_drop_in_loaded=self.text("unit/drop-in.conf") is not None,
        )

    def _daemon_json(self) -> tuple[str | None, FileFault | None]:
        try:
            return self.text("etc/daemon.json"), None
        except TargetFailed as error:
            return None, FileFault(error.where, error.wrong, error.remedy)

    def _history(self) -> FileHistory:
        """It knows what it read, and needs no clock for it."""
        text = self.text("etc/daemon.json")
        known = self.last_good.history(self.daemon_json, text, self._unit())
        return msgspec.structs.replace(known, is_tried=self.is_running and text == self._read)

    # What a pass asks of the daemon

    async def refusal(self, reality: Reality) -> FileFault | None:
        try:
            theirs = without_ours(reality, self.owned(reality))
        except TextRefused:  # the plan says so
            return None
        return await validate.refused(reality, theirs)

    def note(self, reality: Reality) -> None:
        with contextlib.suppress(AgentError):
            note_first_run(Journal(self.agent_state), reality)
        self.last_good.keep_if_seen(reality)

    def owned(self, reality: Reality) -> OwnedDaemonJson:
        return owned(reality, self.agent_state)

    async def carry_out(self, made: Plan, reality: Reality, record: Record) -> Applied:
        return await self.transaction(record).carry_out(made, reality)

    # What a test asks

    async def plan(
        self, desired: Settings, method: Method = Method.AUTO, owned: OwnedDaemonJson = OwnedDaemonJson()
    ) -> tuple[Plan, Reality]:
        reality = await self.reality(desired)
        return plan(desired, reality, Docker(method=method), owned, is_asked_now=False), reality

    def record(self) -> Record:
        return Record(AuditLog(self.audit, self.agent_state), "1", "test")

    def transaction(self, record: Record | None = None) -> Transaction:
        return Transaction(self, self, self.agent_state, record or self.record(), reports_within_s=0.5)

    def text(self, name: str) -> str | None:
        return read_text(self.root / name)

    @property
    def daemon_json(self) -> Path:
        return self.root / "etc/daemon.json"

    def is_quarantined(self, wanted: Settings) -> bool:
        return "it" in Quarantine(self.agent_state).until({"it": wanted})

    def files(self) -> dict[str, bytes]:
        folders = (self.root / "etc", self.root / "unit")
        return {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}

    def events(self) -> list[str]:
        return [record["event"] for record in self.records()]

    def records(self) -> list[dict[str, Any]]:
        lines = self.audit.read_text().splitlines() if self.audit.exists() else []
        return [json.loads(line) for line in lines]

    def facts_of(self, event: str) -> dict[str, Any]:
        """Of the last one."""
        facts: dict[str, Any] = [record["facts"] for record in self.records() if record["event"] == event][-1]
        return facts

    @property
    def is_running(self) -> bool:
        return self.phase is Phase.RUNNING

    @property
    def runs_with(self) -> Settings:
        return self._running.meaning()

    def _environment(self) -> Texts:
        """Our file names all that there is, be it empty."""
        values = self.text("etc/dockerd.env")
        return self.environment if values is None else drop_in.read(values)

    def _boot(self) -> None:
        self.starts += 1
        self._read = self.text("etc/daemon.json")
        try:
            file = daemon_json.texts(self._read)
        except TextRefused:
            self.phase = Phase.BROKEN
            return
        self._got = self.gets_instead or self._environment()
        wanted = file.over(self._got)
        is_refused = bool(self.refuses_file) and self.refuses_file in (self.text("etc/daemon.json") or "")
        self.phase = Phase.BROKEN if is_refused or wanted.meaning() == self.refuses else Phase.RUNNING
        self.live_restore = bool(daemon_json.live_restore(self.text("etc/daemon.json")))
        if self.is_running and not self.live_restore:
            self.killed, self.containers, self.auto_removed = self.killed + self.containers, 0, 0
        if self.is_running and self.version < 25:
            kept = self.containers - self.auto_removed
            self.killed, self.containers, self.auto_removed = self.killed + self.auto_removed, kept, 0
        if self.loses:
            self.killed, self.containers, self.loses = self.killed + self.loses, self.containers - self.loses, 0
        self._since |= dict.fromkeys(range(self.starts_anew), str(self.starts))
        self.starts_anew = 0
        self._running = self.takes_instead or wanted

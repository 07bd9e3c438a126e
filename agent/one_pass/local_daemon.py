"""The dockerd of the policy: what a pass asks it, what the last look found, and what a plan changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.decide.plan import OwnedDaemonJson, Plan, without_ours
from agent.decide.probation import Trial
from agent.docker import containers, networks, validate
from agent.docker.config_file import ConfigFile
from agent.docker.engine import EngineSocket
from agent.docker.glance import Glance, glance
from agent.docker.inventory import inventory, with_sizes
from agent.docker.journal import Journal, UnderWay
from agent.docker.last_good import LastGood
from agent.docker.look import Looking
from agent.docker.originals import daemon_originals
from agent.docker.recover import note_first_run, recover
from agent.docker.restart_command import CommandUnit
from agent.docker.theirs import owned
from agent.docker.transaction import Applied, Transaction
from agent.docker.unit import Unit
from agent.docker.which import beside
from agent.one_pass.standpoint import Standpoint
from agent.see.resolver import of_container
from agent.system.files import Identity, behind_links, identity_of
from agent.system.process_start import started
from agent.system.sweep import sweep
from agent.system.systemd import manager
from agent.targets.container import Carried
from agent.targets.refused import TextRefused
from agent.values.dockerd import FileFault, Phase, Reality, Running, UnitState
from agent.values.errors import AgentError
from agent.values.inventory import Inventory
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.settings import Settings

_AT_REST: Final = frozenset({Phase.STOPPED, Phase.ABSENT, Phase.MASKED, Phase.BROKEN})


class LocalDaemon:
    """The dockerd of the policy."""

    def __init__(
        self,
        paths: Paths,
        policy: Policy,
        config_file: ConfigFile | None = None,
        standpoint: Standpoint | None = None,
        *,
        carried: containers.Known | None = None,
    ) -> None:
        """`paths`: of the Docker that is served (`docker/which.py`)."""
        docker = policy.docker
        self._paths = paths
        self._config_file = config_file or ConfigFile(paths)
        self._standpoint = standpoint or Standpoint()
        self._service = service = paths.layout.service
        self._standpoint.serve(paths.state, service)
        self._engine = engine = EngineSocket.of(paths, docker)
        self._carried = carried or containers.Known()
        self._carries: tuple[Carried, ...] | None = None
        self._is_looked_at = False  # since the containers were last asked for
        self._has_answered = False  # the last time
        self._places: tuple[Path, ...] = ()  # that the last look was about
        systemd = manager(paths)
        is_systemd = systemd is not None and not docker.restart_command
        self._last: tuple[Reality, Glance] | None = None
        self._journal = Journal(paths.state, service)
        self._last_good = LastGood(paths.state)
        self._noted: Reality | None = None
        self._refusal: tuple[tuple[object, ...], FileFault | None] | None = None
        self._supervisor = (
            CommandUnit(docker.restart_command, engine, systemd)
            if systemd is None or docker.restart_command
            else Unit(service, systemd, paths, engine=engine)
        )
        self._is_systemd = is_systemd
        can_restart = is_systemd or bool(docker.restart_command)
        self._look = Looking(paths, service, self._supervisor, engine, can_restart=can_restart)

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        """Finish or undo what a crashed agent left, before anything else. The caller holds the lock.

        `may_restart`: whether Docker may be asked and started already; without it, call it again when it may. Whether
        nothing may be written until then.
        """
        await asyncio.to_thread(self.sweep)
        state = self._paths.state
        self._noted = None  # a probation may have ended
        return await recover(
            self._supervisor,
            self._look,
            state,
            record,
            is_systemd=self._is_systemd,
            may_restart=may_restart,
            unit=self._service,
        )

    async def goes_down(self) -> bool:
        return await self._supervisor.goes_down()

    def under_way(self) -> UnderWay:
        return self._journal.under_way()

    def is_to_be_judged(self, trial: Trial) -> bool:
        return started(trial.pid) is None or time.monotonic() >= trial.until

    def sweep(self) -> None:
        """Remove what a crash left beside the targets. The caller holds the lock."""
        state = self._paths.state
        sweep(state)  # first: what follows reads from there
        ours = (self._paths.environment_file, self._paths.drop_in(self._service), self._paths.daemon_json)
        # Includes a daemon.json that --config-file names.
        files = {*map(str, ours), *Journal(state).under_way().notes, *daemon_originals(state).all()}
        # Links are followed: a replacement is made beside the real file.
        for folder in {behind_links(Path(file)).parent for file in files}:
            sweep(folder)

    async def inventory(self) -> Inventory | None:
        """All that carries settings; None: Docker does not run. EngineSilent if it does not answer."""
        if not await self._look.may_be_asked():
            return None
        return await inventory(self._engine, of_container, self._paths.below)

    async def with_sizes(self, found: Inventory, names: Collection[str]) -> Inventory:
        """The same with how much those containers have written. EngineSilent as `inventory`."""
        return await with_sizes(self._engine, found, names)

    def known(self) -> Reality | None:
        if self._last is None or self._glance(self._last[0], self._starts()) != self._last[1]:
            self._last = None
            return None
        return self._last[0]

    async def reality(self, *desired: Settings) -> Reality:
        before, starts = self._on_disk(), self._starts()
        found = await self._look.reality(*desired)
        self._config_file.note(found)
        self._standpoint.note(found)
        # A dockerd that is starting, or does not answer fully, is looked at again each time.
        unit = found.unit
        is_at_rest = not found.is_silent if unit.is_running else unit.phase in _AT_REST and not unit.comes_back
        self._places = self._places_of(found)
        after = self._on_disk()
        # Nor is one that was started, or whose files were written, in the middle of the look: no glance would tell.
        is_one_moment = self._is_start(unit) and all(before[place] == after[place] for place in before.keys() & after)
        is_known = is_at_rest and is_one_moment and not found.is_place_unknown
        self._last = (found, self._glance(found, starts)) if is_known else None
        self._has_answered = found.engine is not None and not found.is_silent
        self._carries, self._is_looked_at = None, self._has_answered
        return found

    async def carried(self, *, anew: bool = False) -> tuple[Carried, ...] | None:
        if self._is_looked_at or (anew and self._has_answered):
            self._is_looked_at = False
            try:
                is_up = await self._look.may_be_asked()
                self._carries = await containers.running(self._engine, self._carried) if is_up else None
            except AgentError:  # silent by now: the next look asks again
                self._carries = None
            except Exception as error:  # noqa: BLE001 - the boundary of a target: a note is not worth the pass
                unexpected("the look at Docker's containers", error)
        return self._carries

    async def bridges(self) -> Mapping[str, bool] | None:
        """By name, and whether their networks are internal; None: not known now."""
        try:
            if not await self._look.may_be_asked_itself():
                return None
            return await networks.bridges(self._engine)
        except AgentError:  # silent by now
            return None

    async def note_place(self) -> None:
        """Take note of where dockerd stands, for a probe without a pass."""
        self._standpoint.note(await self._look.place())

    async def busy_now(self, found: Reality) -> Reality:
        return await self._look.busy_now(found)

    async def running(self) -> frozenset[Running]:
        return await self._look.running()

    def _is_start(self, unit: UnitState) -> bool:
        """Whether Docker is still of that start, or still down."""
        return self._supervisor.started() == (unit.invocation if unit.is_running else "")

    def _on_disk(self) -> dict[Path, Identity | None]:
        return {place: identity_of(place) for place in self._places}

    def _places_of(self, found: Reality) -> tuple[Path, ...]:
        files = (found.daemon_json_path, found.environment_file_path, found.drop_in_path, *found.unit.drop_ins)
        places = self._paths.unit_places(self._service) if self._paths.is_real else ()
        return (*map(Path, (*files, *found.environment_files)), *places)

    def _starts(self) -> str:
        """Another value after each start of a unit, also one that failed at once and has left nothing."""
        return str(identity_of(self._paths.below(self._paths.layout.starts)))

    def _glance(self, found: Reality, starts: str) -> Glance:
        start = f"{self._supervisor.started()} {started(found.process) if found.process else ''}"
        if found.unit.phase in (Phase.ABSENT, Phase.MASKED):
            start += str(beside(self._paths))
        elif not found.unit.is_running:
            start += starts
        return glance(start, self._places_of(found))

    def owned(self, reality: Reality) -> OwnedDaemonJson:
        return owned(reality, self._paths.state)

    async def refusal(self, reality: Reality) -> FileFault | None:
        try:
            theirs = without_ours(reality, self.owned(reality))
        except TextRefused:  # the plan says so
            return None
        # If the file is no text, its identity alone tells whether it changed.
        faulty = identity_of(Path(reality.daemon_json_path)) if reality.daemon_json_fault is not None else None
        asked = (theirs, faulty, reality.arguments, identity_of(Path(reality.binary)))
        if self._refusal is None or self._refusal[0] != asked:
            self._refusal = asked, await validate.refused(reality, theirs)
        return self._refusal[1]

    def note(self, reality: Reality) -> None:
        if reality is not self._noted:
            self._standpoint.keep()
            with contextlib.suppress(AgentError):  # it is tried again
                note_first_run(self._journal, reality)
            self._last_good.keep_if_seen(reality)
            self._noted = reality

    async def carry_out(self, plan: Plan, reality: Reality, record: Record) -> Applied:
        transaction = Transaction(self._supervisor, self._look, self._paths.state, record, unit=self._service)
        return await transaction.carry_out(plan, reality)

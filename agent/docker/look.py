"""One look at dockerd: its unit, its process, its socket and its files become a `Reality`.

The socket is opened only while the unit runs: a connection would start a stopped Docker (FACTS 16).
Not known here: what follows from it (`decide/`).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from agent.decide.effective import told_by_process
from agent.docker import busy, process
from agent.docker.journal import Journal
from agent.docker.last_good import LastGood
from agent.docker.marks import Marks
from agent.docker.overruling import beaten, flags_in, overruling, own_files
from agent.docker.vantage import vantage
from agent.docker.which import beside
from agent.system.alongside import alongside
from agent.system.programs import run
from agent.system.text_files import read_text
from agent.system.until import until
from agent.targets import daemon_json, environment, for_dockerd
from agent.targets.refused import TextRefused
from agent.values.dockerd import Engine, FileFault, FileHistory, Flags, Phase, Reality, Running, Start, UnitState
from agent.values.errors import AgentError, EngineSilent, TargetFailed
from agent.values.paths import Paths
from agent.values.settings import Masked, Settings, Texts
from agent.values.vantage import HOST, Vantage

_STARTING_S: Final = 10.0  # a look waits so long for a dockerd that is starting or stopping
_LOOK_AGAIN_S: Final = 0.1
_VERSION_S: Final = 5.0
_FIRST_WITH_PROXIES: Final = 23


class UnitReader(Protocol):
    """What a look asks of who runs Docker."""

    async def state(self) -> UnitState: ...
    async def hanging(self, state: UnitState) -> tuple[str, ...]:
        """The units that are stopped with it and are active now."""
        ...

    async def start_values(self, ours: Path) -> Start: ...
    def started(self) -> str:
        """Names the start: another value for each, '' if it does not run. Starts no process."""
        ...


class Socket(Protocol):
    """What a look asks of dockerd. EngineSilent if it does not answer."""

    async def report(self, is_known: Callable[[Engine], bool] = ...) -> Engine:
        """`is_known`: whether its settings are known without /info, so that a slow answer need not be waited for."""
        ...

    async def running(self) -> frozenset[Running]: ...
    def listener(self) -> int:
        """The process that listens. EngineSilent if none does."""
        ...


class Looking:
    """Looks at one Docker."""

    def __init__(self, paths: Paths, service: str, reader: UnitReader, socket: Socket, *, can_restart: bool) -> None:
        self._paths = paths
        self._service = service
        self._reader = reader
        self._socket = socket
        self._can_restart = can_restart
        self._marks = Marks(paths.state)
        self._journal = Journal(paths.state, service)
        self._last_good = LastGood(paths.state)

    async def reality(self, *desired: Settings) -> Reality:
        """What is real now. `desired`: settings whose credentials dockerd may have been started with."""
        unit = await self._settled()
        if unit.phase in (Phase.ABSENT, Phase.MASKED):
            return Reality(unit, unit_name=self._service, others=await asyncio.to_thread(beside, self._paths))
        async with alongside(self._hanging(unit)) as hanging:
            found = await self._all_but_the_engine(unit, desired)
            engine, silence = await self._engine(found) if unit.is_running else (None, "")
            if engine is None:
                takes_proxies = await _takes_proxies(found.binary)
                return msgspec.structs.replace(
                    found, silence=silence, takes_proxies=takes_proxies, started_with=None, is_marked=False
                )
            return msgspec.structs.replace(
                found,
                engine=engine,
                hanging=await hanging,
                transfer=await asyncio.to_thread(busy.transfer, found.process),
                takes_proxies=engine.takes_proxies,
            )

    async def _hanging(self, unit: UnitState) -> tuple[str, ...]:
        return await self._reader.hanging(unit) if unit.is_running else ()

    async def _all_but_the_engine(self, unit: UnitState, desired: Sequence[Settings]) -> Reality:
        start = await self._reader.start_values(self._paths.environment_file)
        dockerd = await asyncio.to_thread(self._dockerd, unit)
        flags, running, are_flags_read = await asyncio.to_thread(_process, dockerd, unit, start)
        file_path = await asyncio.to_thread(self._daemon_json, flags)
        file, fault = await asyncio.to_thread(_read, file_path)
        drop_in_path = self._paths.drop_in(self._service)
        values_path = self._paths.environment_file
        texts = await asyncio.to_thread(own_files, unit)
        beats = await asyncio.to_thread(
            overruling, unit, texts, start, running, values_file=values_path, drop_in=drop_in_path
        )
        started_with, is_marked = self._started_with(unit, file_path, file, desired) if not fault else (None, False)
        return Reality(
            unit=unit,
            dockerd=dockerd,
            vantage=await asyncio.to_thread(self._vantage, dockerd, unit),
            unit_name=self._service,
            shims_in_unit=await asyncio.to_thread(_shims_in_unit, unit),
            binary=process.binary(start.argv, start.environment, follows_path=self._paths.layout.user is not None),
            arguments=start.argv[1:],
            is_systemd=self._paths.is_real and bool(start.argv),
            can_restart=self._can_restart,
            flags=flags,
            flags_in=await asyncio.to_thread(flags_in, texts, start, flags.names),
            are_flags_read=are_flags_read,
            environment=environment.texts({**start.environment, **beats.by_command}),
            foreign_environment=environment.texts({**start.foreign_environment, **beats.by_command}),
            environment_files=start.files,
            overruling=beats,
            beaten=beaten(texts, start, values_path, beats.later),
            running_environment=None if running is None else environment.texts(running),
            started_with=started_with,
            is_marked=is_marked,
            daemon_json_path=str(file_path),
            daemon_json=file,
            daemon_json_fault=fault,
            file=await asyncio.to_thread(self._last_good.history, file_path, file, unit, dockerd)
            if not fault
            else FileHistory(),
            systemctl=self._paths.layout.systemctl,
            environment_file_path=str(self._paths.environment_file),
            environment_file=await asyncio.to_thread(read_text, self._paths.environment_file),
            drop_in_path=str(drop_in_path),
            drop_in=await asyncio.to_thread(read_text, drop_in_path),
            is_drop_in_loaded=str(drop_in_path) in unit.drop_ins,
        )

    def _daemon_json(self, flags: Flags) -> Path:
        usual = self._paths.daemon_json
        named = self._paths.below(flags.config_file) if flags.config_file else usual
        if not self._paths.layout.is_packaged:
            return named
        # The snap names its folder by its revision, which the next one replaces; `current` leads to whichever it is.
        return usual if os.path.realpath(named) == os.path.realpath(usual) else named

    def _dockerd(self, unit: UnitState) -> int:
        """Its process; 0: not known."""
        # A connection to one that is down would start it.
        return process.dockerd(unit.pid, self._socket.listener if unit.is_running else lambda: 0)

    def _vantage(self, dockerd: int, unit: UnitState) -> Vantage | None:
        """Root enters nobody's namespaces: a process of another account may have the number of one that has ended."""
        return HOST if self._paths.layout.user is None else vantage(dockerd, unit.pid)

    async def place(self) -> Reality:
        """Where dockerd stands, and nothing else. A program is asked for its state, dockerd is not waited for."""
        unit = await self._reader.state()
        dockerd = await asyncio.to_thread(self._dockerd, unit)
        return Reality(unit, dockerd=dockerd, vantage=await asyncio.to_thread(self._vantage, dockerd, unit))

    async def busy_now(self, found: Reality) -> Reality:
        """The same with what a restart would meet by now."""
        hanging: tuple[str, ...] = ()
        try:
            unit = await self._up()
            hanging = await self._reader.hanging(unit) if unit else ()
            engine, silence = await self._engine(found) if unit else (None, "")
        except EngineSilent as error:
            engine, silence = None, str(error)
        moving = await asyncio.to_thread(busy.transfer, found.process) if engine else ""
        return msgspec.structs.replace(found, engine=engine, silence=silence, transfer=moving, hanging=hanging)

    async def running(self) -> frozenset[Running]:
        """The containers that run. EngineSilent as `engine`."""
        return await self._socket.running() if await self.may_be_asked_itself() else frozenset()

    async def may_be_asked(self) -> bool:
        """Whether it runs, so that a question does not start it. EngineSilent while it is starting."""
        return await self._up() is not None

    async def engine(self) -> Engine | None:
        """What dockerd reports; None: it does not run. EngineSilent if it runs, or is starting, and does not answer."""
        return await self._socket.report() if await self.may_be_asked_itself() else None

    async def may_be_asked_itself(self) -> bool:
        """The same, and nobody answers in its place. EngineSilent also where another dockerd does."""
        unit = await self._up()
        if unit is not None:
            await self._check_whose(unit)
        return unit is not None

    async def _up(self) -> UnitState | None:
        """The unit, if its dockerd may be asked."""
        if not self._reader.started():
            return None
        # A connection to one that is being stopped would start it again, and until it is down its link still exists.
        unit = await self._reader.state()
        if unit.phase is Phase.STARTING:
            raise EngineSilent(self._service, "is starting")
        return unit if unit.is_running else None

    async def _check_whose(self, unit: UnitState) -> None:
        """EngineSilent where a dockerd of another unit answers in place of this one: what it says is not about this."""
        listener = await asyncio.to_thread(self._socket.listener)
        has_socket = any(trigger.endswith(".socket") for trigger in unit.triggers)
        if await asyncio.to_thread(process.is_anothers, listener, unit.pid, has_socket=has_socket):
            raise EngineSilent(self._service, f"another dockerd listens on its socket (process {listener})")

    async def _settled(self) -> UnitState:
        """The unit's state, after a start or stop that is under way has had some time to end."""
        # A job alone is not waited for: a Docker that is about to start may itself be waiting for the agent.
        return await until(self._reader.state, _is_settled, within_s=_STARTING_S, every_s=_LOOK_AGAIN_S)

    async def _engine(self, found: Reality) -> tuple[Engine | None, str]:
        """What it reports, or why it does not. If its process tells as much, /info is not waited for long."""

        def is_known(engine: Engine) -> bool:
            return told_by_process(msgspec.structs.replace(found, takes_proxies=engine.takes_proxies)) is not None

        try:
            await self._check_whose(found.unit)
            return await self._socket.report(is_known), ""
        except EngineSilent as error:  # unknown is not different: the plan says so, and restarts nothing
            return None, str(error)

    def _started_with(
        self, unit: UnitState, path: Path, file: str | None, desired: Sequence[Settings]
    ) -> tuple[Texts | Masked | None, bool]:
        """daemon.json's values when this dockerd started, by its mark, or else by the file. Whether by the mark."""
        if not unit.is_running:
            return None, False
        try:
            in_file = daemon_json.texts(file)
            before = tuple(daemon_json.texts(text) for text in self._written_over(path))
        except TextRefused:  # the plan leaves such a file alone, and says why
            return None, False
        wanted = (for_dockerd.as_compared(settings) for settings in desired)
        known = self._marks.started_with(unit.invocation, (*wanted, in_file, *before))
        return (in_file, False) if known is None else (known, True)

    def _written_over(self, path: Path) -> tuple[str | None, ...]:
        """What the file said before the write that still waits for a restart."""
        try:
            note = self._journal.under_way().notes.get(str(path))
        except AgentError:  # one candidate less
            return ()
        return () if note is None else (note.before,)


def _read(path: Path) -> tuple[str | None, FileFault | None]:
    """The text of daemon.json, or why it cannot be read. That is a fault of this file only: the rest goes on."""
    try:
        return read_text(path), None
    except TargetFailed as error:
        return None, FileFault(error.where, error.wrong, error.remedy)


def _is_settled(unit: UnitState) -> bool:
    return unit.phase not in (Phase.STARTING, Phase.STOPPING)


def _shims_in_unit(unit: UnitState) -> bool:
    return unit.is_running and unit.kill_mode != "process" and process.holds_containers(unit.pid)


def _process(dockerd: int, unit: UnitState, start: Start) -> tuple[Flags, dict[str, str] | None, bool]:
    """Flags and environment of the running dockerd, or the flags of its next start; and whether the flags are its."""
    argv = process.command_line(dockerd) if dockerd else None
    # Where it is not known, its environment is most likely that of who started it.
    running = process.environment(dockerd or unit.pid) if unit.pid else None
    return process.flags(argv or start.argv), running, argv is not None


async def _takes_proxies(binary: str) -> bool | None:
    """Whether the dockerd that would be started knows `proxies`. Its own binary is asked, never the client."""
    if not binary:
        return None
    try:
        done = await run((binary, "--version"), _VERSION_S)
    except (OSError, TimeoutError):
        return None
    version = re.search(rb"version (\d+)\.", done.out)
    return int(version[1]) >= _FIRST_WITH_PROXIES if version else None

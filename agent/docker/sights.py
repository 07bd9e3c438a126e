"""Looks at every place that shows what Docker runs with, as whoever asks: what is closed to them is said to be.

Nothing is changed, and a Docker that is stopped is not asked: a connection would start it (FACTS 16).
Not known here: how it reads (`service/sights_page.py`).
"""

from __future__ import annotations

import asyncio
import functools
import operator
import os
from pathlib import Path
from typing import Final

import msgspec

from agent.docker import process
from agent.docker.engine import EngineSocket
from agent.docker.look import Looking
from agent.docker.restart_command import CommandUnit
from agent.docker.unit import Unit
from agent.system.systemd import manager
from agent.system.text_files import read_text
from agent.targets import daemon_json, environment
from agent.targets.refused import TextRefused
from agent.values.dockerd import Reality
from agent.values.errors import EngineSilent, TargetFailed, UnitFailed
from agent.values.paths import Paths
from agent.values.policy import Docker
from agent.values.settings import Texts
from agent.values.sight import Sight, Sights, Where

_CLOSED: Final = "closed to you"
_DEFAULT: Final = frozenset({"/run/docker.sock", "/var/run/docker.sock"})  # where docker looks by itself
_STOPPED: Final = "it is not running, and is not asked"


async def sights(paths: Paths, docker: Docker) -> Sights:
    """`paths`: of the Docker that is served."""
    service = paths.layout.service
    socket = EngineSocket.of(paths, docker)
    systemd = manager(paths)
    unit = None if systemd is None or docker.restart_command else Unit(service, systemd, paths, engine=socket)
    reader = unit or CommandUnit(docker.restart_command, socket, systemd)
    looking = Looking(paths, service, reader, socket, can_restart=False)
    command = f"{paths.layout.systemctl} show --property=Environment {service.removesuffix('.service')}"
    try:
        found = await looking.place()
        of_unit = Sights(()) if unit is None else await _unit(unit, command, str(paths.environment_file))
        reported, takes_file = await _engine(looking, socket)
    except UnitFailed as error:
        return Sights((Sight(Where.UNIT, command, why_not=error.what),))
    of_process = await asyncio.to_thread(_process, found, paths)
    places = (*of_unit.places, *of_process, reported)
    return msgspec.structs.replace(of_unit, places=places, takes_file=takes_file)


async def _unit(unit: Unit, command: str, ours: str) -> Sights:
    """Files that say nothing of a proxy are left out, but for the agent's own."""
    given, files = await unit.environment()
    read = await asyncio.to_thread(_files, files)
    told = [sight for sight, _ in read if sight.says != Texts() or sight.at == ours]
    known = [values for _, values in read if values is not None]
    of_all = functools.reduce(operator.or_, known, given)
    return Sights(
        (Sight(Where.UNIT, command, environment.texts(given)), *told),
        next_start=environment.texts(of_all) if len(known) == len(read) else None,
        file=ours if ours in files else "",
    )


def _files(paths: tuple[str, ...]) -> list[tuple[Sight, dict[str, str] | None]]:
    """Each `EnvironmentFile=`, and its variables; None: not known. One that is missing says nothing."""
    return list(map(_file, paths))


def _file(path: str) -> tuple[Sight, dict[str, str] | None]:
    try:
        values = environment.parse(read_text(Path(path)) or "")
    except TargetFailed as error:
        return Sight(Where.FILE, path, why_not=_why(error)), None
    return Sight(Where.FILE, path, environment.texts(values)), values


def _daemon_json(path: Path) -> Sight:
    try:
        return Sight(Where.DAEMON_JSON, str(path), daemon_json.texts(read_text(path)))
    except TargetFailed as error:
        return Sight(Where.DAEMON_JSON, str(path), why_not=_why(error))
    except TextRefused as error:
        return Sight(Where.DAEMON_JSON, str(path), why_not=str(error))


def _why(error: TargetFailed) -> str:
    return _CLOSED if isinstance(error.__cause__, PermissionError) else error.wrong


def _process(found: Reality, paths: Paths) -> tuple[Sight, ...]:
    """Its flags and its file, as far as they say something of a proxy; and what it was started with."""
    argv = process.command_line(found.dockerd) if found.dockerd else None
    flags = process.flags(argv or ())
    by_flags = Sight(Where.FLAGS, f"/proc/{found.dockerd}/cmdline", flags.proxies)
    in_file = _daemon_json(paths.below(flags.config_file) if flags.config_file else paths.daemon_json)
    told = [sight for sight in (by_flags, in_file) if sight.says != Texts()]
    return (*told, _environment(found))


def _environment(found: Reality) -> Sight:
    if not found.unit.is_running:
        return Sight(Where.PROCESS, "dockerd", why_not="it does not run")
    if not found.dockerd:
        return Sight(Where.PROCESS, "dockerd", why_not="it is not known which process it is")
    at = f"/proc/{found.dockerd}/environ"
    given = process.environment(found.dockerd)
    if given is not None:
        return Sight(Where.PROCESS, at, environment.texts(given))
    return Sight(Where.PROCESS, at, why_not="it has ended" if os.access(at, os.R_OK) else _CLOSED)


async def _engine(looking: Looking, socket: EngineSocket) -> tuple[Sight, bool]:
    """What it reports, and whether it reads proxies from daemon.json."""
    at = "docker info" if str(socket.path) in _DEFAULT else f"docker --host unix://{socket.path} info"
    try:
        engine = await looking.engine()
    except EngineSilent as error:
        return Sight(Where.ENGINE, at, why_not=error.what), True
    if engine is None:
        return Sight(Where.ENGINE, at, why_not=_STOPPED), True
    why_not = "it does not say" if engine.proxies is None else ""
    return Sight(Where.ENGINE, at, engine.proxies, why_not), engine.takes_proxies

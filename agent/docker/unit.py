"""Docker's unit in systemd: its state, what it would be started with, and how it is restarted.

Everything goes through `system/systemd.py`. Calls that start or restart something do not block: from a unit
that is `Before=docker.service` a blocking one would deadlock (FACTS 16). The unit is watched instead.
Not known here: why Docker is restarted, and whether it then runs with what it should.
"""

from __future__ import annotations

import asyncio
import glob
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from agent.docker import process
from agent.docker.away import Away
from agent.docker.glance import invocation
from agent.docker.ports import AtLast, nothing
from agent.system.running_time import Left
from agent.system.systemd import OF_THE_SYSTEM, Systemd, assignments
from agent.system.until import every, until
from agent.targets import environment
from agent.values.dockerd import Layer, Phase, Start, UnitState
from agent.values.errors import ByOthers, EngineSilent, NotTried, RestartFailed, UnitFailed
from agent.values.machine_text import words
from agent.values.paths import Paths

_SYSTEM: Final = Paths()
SLOW_S: Final = 300.0  # for a start without a crash: dockerd with many layers needs minutes after a power cut
_LOOK_AGAIN_S: Final = 0.05
_ASK_AGAIN_S: Final = 1.0
_SILENT_S: Final = 30.0  # for a systemd that is being updated


_ON_ITS_WAY_DOWN: Final = frozenset({Phase.STOPPING, Phase.STARTING, Phase.RUNNING})  # after it was told to stop
_ON_ITS_WAY_UP: Final = frozenset({Phase.STARTING, Phase.RUNNING})
# A stop of the unit stops these, too (systemd.unit(5), FACTS 62), and then what hangs on them.
_HANGING: Final = ("RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo")
_MOST_HANGING: Final = 256  # units that are asked; no Docker has more,
_DEEPEST: Final = 16  # nor in a longer chain
_IS_UP: Final = frozenset({"active", "reloading", "refreshing"})
_UP: Final = _IS_UP | {"activating"}
_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "InvocationID",
    "NRestarts",
    "DropInPaths",
    "Job",
    "KillMode",
    "TriggeredBy",
    "FragmentPath",
    "Result",
    "StateChangeTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "ActiveExitTimestampMonotonic",
    "Type",
    *_HANGING,
)
_STARTED_WITH: Final = ("ExecStart", "Environment", "EnvironmentFiles", "UnsetEnvironment")


class Listening(Protocol):
    """Docker's socket."""

    def listener(self) -> int:
        """The process that listens there. EngineSilent if none does."""
        ...


class Unit:
    """A service of systemd, with its socket unit if it has one."""

    def __init__(
        self, name: str, systemd: Systemd = OF_THE_SYSTEM, paths: Paths = _SYSTEM, *, engine: Listening | None = None
    ) -> None:
        """`engine`: is asked where systemd is not told when dockerd is up; None: then it counts as up at once."""
        self.name = name
        self._systemd = systemd
        self._starts = paths.invocation_link(name)
        self._engine = engine
        self._socket_unit = name.removesuffix(".service") + ".socket"

    async def state(self) -> UnitState:
        state = await self._state_of(self.name)
        if self._engine is None or not may_be_starting(state, time.monotonic()):
            return state
        is_up = await asyncio.to_thread(_is_there, self._engine)
        return state if is_up else msgspec.structs.replace(state, phase=Phase.STARTING)

    def started(self) -> str:
        """Names the start: another value for each, without asking systemd; '' if it does not run."""
        return invocation(self._starts)

    async def start_values(self, ours: Path) -> Start:
        """What systemd would start the service with now, from the unit as loaded. `ours`: the agent's own file."""
        service, manager = await asyncio.gather(
            self._systemd.properties(_bus_path(self.name), "Service", *_STARTED_WITH),
            self._systemd.properties("/org/freedesktop/systemd1", "Manager", "Environment"),
        )
        commands, assigned, files, unset = service
        found = _pairs(manager[0]) | _pairs(assigned)
        foreign, layers = dict(found), []
        for entry, (path, _may_be_missing) in enumerate(files):
            for name in sorted(glob.glob(path)) or [path]:  # noqa: PTH207 - systemd's pattern is an absolute path
                values = await asyncio.to_thread(_environment_file, Path(name))
                layers.append(Layer(name, {one: values[one] for one in environment.NAMES if one in values}, entry))
                found |= values
                foreign |= {} if Path(name) == ours else values
        found, foreign = environment.without(found, unset), environment.without(foreign, unset)
        argv = tuple(commands[-1][1]) if commands else ()
        manages = _pairs(manager[0])
        of_all: dict[str, str] = {name: manages[name] for name in environment.NAMES if name in manages}
        return Start(
            process.expanded(argv, found),
            environment=found,
            foreign_environment=foreign,
            unset=tuple(unset),
            layers=tuple(layers),
            manager=of_all,
        )

    async def environment(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """What `systemctl show --property=Environment` says, and each file that an EnvironmentFile= names."""
        assigned, files = await self._systemd.properties(
            _bus_path(self.name), "Service", "Environment", "EnvironmentFiles"
        )
        # systemd's pattern is an absolute path.
        found = (name for path, _may_be_missing in files for name in sorted(glob.glob(path)) or [path])  # noqa: PTH207
        return _pairs(assigned), tuple(found)

    async def hanging(self, state: UnitState) -> tuple[str, ...]:
        """The units that are stopped with it and are active now, also through other units."""
        own = {self.name, self._socket_unit}
        found: dict[str, str] = {}
        ahead = set(state.hanging) - own
        for _ in range(_DEEPEST):
            if not ahead or len(found) + len(ahead) > _MOST_HANGING:
                break
            below: set[str] = set()
            for values in await self._systemd.show(("Id", "ActiveState", *_HANGING), sorted(ahead)):
                found[values.get("Id", "")] = values.get("ActiveState", "")
                below |= set(_hanging(values))
            ahead = below - found.keys() - own
        # Those that are too many to follow are taken as active.
        return (*sorted(name for name, active in found.items() if active in _UP), *sorted(ahead))

    async def start_again(self, units: Sequence[str]) -> tuple[str, ...]:
        """Have systemd start those of them that are down, or go down, and would stay so.

        Which these are; none without Docker.
        """
        if not units:
            return ()
        await self._unless_going_down()
        # Docker and units in one answer, at the last moment: the units would wake a Docker that is just being stopped.
        docker, *shown = await self._systemd.show(("Id", "ActiveState", "Job"), (self.name, *units))
        if docker.get("ActiveState") not in _UP:
            return ()
        down = tuple(values["Id"] for values in shown if _stays_down(values))
        if down:
            await self._systemd.call("start", "--no-block", "--", *down)
        return down

    async def daemon_reload(self) -> None:
        await self._systemd.call("daemon-reload")

    async def lift_start_limit(self) -> None:
        try:
            await self._reset_start_limit()
        except UnitFailed as error:
            raise NotTried(error.where, error.what, error.remedy) from error

    async def restart(self, at_last: AtLast = nothing) -> UnitState:
        """Restart it if it runs, and watch it until it is up; RestartFailed if it breaks on the way.

        ByOthers if it was stopped, masked or removed meanwhile: then it is left alone. NotTried if systemd does not
        take the job, because it contradicts another one. The start limit is lifted by then.
        """
        try:
            before, _ = await asyncio.gather(self._present(), self._unless_going_down())
            await at_last()
            await self._systemd.call("try-restart", "--no-block", "--", self.name)
        except UnitFailed as error:
            raise NotTried(error.where, error.what, error.remedy) from error
        started = await self._watch(before)
        with suppress(UnitFailed):  # our restart must not use up the start limit of a person's next one
            await self._systemd.call("reset-failed", "--", *await self._units())
        return started

    async def goes_down(self) -> bool:
        return await self._systemd.goes_down()

    async def reload(self) -> None:
        """dockerd reads its file again, some time after this has returned (FACTS 6)."""
        await self._unless_going_down()
        await self._systemd.call("reload", "--no-block", "--", self.name)

    async def stop(self) -> None:
        """Stop it, and wait until it is down, or was started again: any client does that through its socket."""
        before = await self.state()
        if before.phase is Phase.BROKEN and not (before.comes_back or before.has_job):
            return  # a stop would only take down what hangs on it, whose ExecStop= may wait for Docker (FACTS 124)
        await self._systemd.call("stop", "--no-block", "--", self.name)
        stopped = {before.invocation, (await self.state()).invocation}  # one may just have come back

        def is_over(state: UnitState) -> bool:
            is_started_again = state.phase in _ON_ITS_WAY_UP and state.invocation not in stopped
            return is_started_again or not (state.has_job or state.phase in _ON_ITS_WAY_DOWN)

        now = await until(self.state, is_over, within_s=SLOW_S, every_s=_LOOK_AGAIN_S)
        if not is_over(now):
            raise UnitFailed(self.name, f"is {now.phase.value} {SLOW_S:.0f} s after it was told to stop")

    async def start(self) -> UnitState:
        """Start it and its socket, whatever the start limit says, and watch it until it is up."""
        if (await self.state()).phase is Phase.BROKEN:
            await self.stop()  # else systemd's own next try may come in between, and would count as a restart
        before = await self._ready()
        await self._systemd.call("start", "--no-block", "--", *await self._units())
        return await self._watch(msgspec.structs.replace(before, invocation=""))

    async def start_unwatched(self) -> None:
        """Have systemd start it and its socket, even if we end meanwhile."""
        await self._ready()
        await self._systemd.call("start", "--no-block", "--", *await self._units())

    async def _unless_going_down(self) -> None:
        """Before every job of ours: systemd would refuse it, or give up the shutdown for it (FACTS 121)."""
        if await self.goes_down():
            raise UnitFailed(self.name, "is left alone: the system is going down")

    async def _units(self) -> tuple[str, ...]:
        has_socket = (await self._socket()).phase not in (Phase.ABSENT, Phase.MASKED)
        return (self._socket_unit, self.name) if has_socket else (self.name,)

    async def _socket(self) -> UnitState:
        return await self._state_of(self._socket_unit)

    async def _state_of(self, unit: str) -> UnitState:
        return unit_state(await self._systemd.call("show", "--property", ",".join(_PROPERTIES), "--", unit))

    async def _ready(self) -> UnitState:
        """Lift the start limit, if systemd allows it. Its state after that."""
        await asyncio.gather(self._reset_start_limit(), self._unless_going_down())
        return await self._present()

    async def _reset_start_limit(self) -> None:
        """The fourth start within a minute would fail and take the socket down, too (FACTS 13)."""
        state, units = await asyncio.gather(self.state(), self._units())
        try:
            await self._systemd.call("reset-failed", "--", *units)
        except UnitFailed:
            # A running Docker might not come up again. One that is down is no worse off; and systemd forgets the
            # count of a unit that is down and that no other unit names.
            if state.is_running:
                raise

    async def _present(self) -> UnitState:
        """Its state; ByOthers if there is nothing to start."""
        state = await self.state()
        if state.phase in (Phase.ABSENT, Phase.MASKED):
            raise ByOthers(self.name, f"is {state.phase.value} now")
        return state

    async def _watch(self, before: UnitState) -> UnitState:
        away = Away()
        async for _ in every(_LOOK_AGAIN_S, within_s=SLOW_S):
            state = await self._state_at_last()
            # With a job pending, this start is by others: our job will replace it.
            if state.is_running and state.invocation != before.invocation and not state.has_job:
                return state
            # With a job pending, it broke before our start, which has not begun.
            is_broken = state.phase is Phase.BROKEN and not state.has_job
            if is_broken or state.restarts > before.restarts:
                raise RestartFailed(self.name, "did not come up", f"See: journalctl -u {self.name} -n 50")
            if away.lasts(state):
                if (await self._socket()).phase is Phase.BROKEN:  # Docker cannot start without it
                    raise RestartFailed(self._socket_unit, "did not come up")
                raise ByOthers(self.name, f"is {state.phase.value} now, not by the agent, so it is left alone")
        raise RestartFailed(self.name, f"is {state.phase.value} after {SLOW_S:.0f} s")

    async def _state_at_last(self) -> UnitState:
        """Its state. While systemd itself is being updated it is asked again; UnitFailed if it stays silent."""
        left = Left(_SILENT_S)
        while True:
            try:
                return await self.state()
            except UnitFailed:
                if left.is_over():
                    raise
                await asyncio.sleep(_ASK_AGAIN_S)


def may_be_starting(unit: UnitState, now: float) -> bool:
    """Whether its being up proves nothing yet: with Type=simple systemd has only started a command (FACTS 75)."""
    return unit.is_running and not unit.says_when_up and unit.since > 0 and now < unit.since + SLOW_S


def _is_there(engine: Listening) -> bool:
    try:
        engine.listener()
    except EngineSilent:
        return False
    return True


def unit_state(shown: str) -> UnitState:
    """What `systemctl show` printed, as a value. Pure."""
    values = assignments(shown)
    return UnitState(
        phase=_phase(values.get("LoadState", ""), values.get("ActiveState", ""), values.get("SubState", "")),
        pid=int(values.get("MainPID") or 0),
        invocation=values.get("InvocationID", ""),
        restarts=int(values.get("NRestarts") or 0),
        drop_ins=tuple(words(values.get("DropInPaths", ""))),
        has_job=_has_job(values),
        kill_mode=values.get("KillMode") or "process",
        hanging=_hanging(values),
        fragment=values.get("FragmentPath", ""),
        triggers=tuple(words(values.get("TriggeredBy", ""))),
        comes_back=values.get("SubState") == "auto-restart",
        is_stuck_in_stop=values.get("Result") == "timeout",
        since=_since(values),
        left_at=_moment(values, "ActiveExitTimestampMonotonic"),
        says_when_up=values.get("Type", "notify").startswith("notify"),
    )


def _since(values: Mapping[str, str]) -> float:
    """When it came into this state. A reload is a state of its own to systemd, and no start (FACTS 206)."""
    came_up = _moment(values, "ActiveEnterTimestampMonotonic") if values.get("ActiveState") in _IS_UP else 0.0
    return came_up or _moment(values, "StateChangeTimestampMonotonic")


def _moment(values: Mapping[str, str], name: str) -> float:
    return int(values.get(name) or 0) / 1e6


def _stays_down(values: Mapping[str, str]) -> bool:
    """A job of a unit that is down will start it. The one of a unit that goes down may be a mere stop."""
    active = values.get("ActiveState")
    return active == "deactivating" or (active not in _UP and not _has_job(values))


def _has_job(values: Mapping[str, str]) -> bool:
    return values.get("Job", "") not in ("", "0")


def _hanging(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for kind in _HANGING for name in words(values.get(kind, ""))))


def _phase(load: str, active: str, sub: str) -> Phase:
    if load == "masked":
        return Phase.MASKED
    if load not in ("loaded", ""):
        return Phase.ABSENT
    if active == "failed" or sub == "auto-restart":
        return Phase.BROKEN
    by_state = {
        "active": Phase.RUNNING,
        "reloading": Phase.RUNNING,
        "activating": Phase.STARTING,
        "deactivating": Phase.STOPPING,
    }
    return by_state.get(active, Phase.STOPPED)


def _pairs(assignments: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in assignments)}


def _environment_file(path: Path) -> dict[str, str]:
    try:
        return environment.parse(path.read_text(errors="surrogateescape"))
    except OSError:  # as systemd does with a `-` in front; without one, the unit itself would not start
        return {}


def _bus_path(unit: str) -> str:
    """systemd's object path of a unit: every byte that is no letter or digit as _xx (sd_bus_path_encode)."""
    name = re.sub(r"[^A-Za-z0-9]", lambda match: f"_{ord(match[0]):02x}", unit)
    return f"/org/freedesktop/systemd1/unit/{name}"

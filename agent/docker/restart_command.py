"""Docker without systemd: one command restarts it, and its socket shows whether it runs.

For `docker.restart_command`, and for `--root`, where systemctl is never called. Neither flags nor an environment can be
looked at here, so the settings are those in daemon.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from agent.docker.ports import AtLast, nothing
from agent.system.programs import run
from agent.system.systemd import Systemd
from agent.system.until import until
from agent.values.dockerd import Phase, Start, UnitState
from agent.values.errors import EngineSilent, RestartFailed, UnitFailed
from agent.values.secret import escaped

_UP_WITHIN_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.05


class Peer(Protocol):
    """Who listens on Docker's socket."""

    def peer(self) -> str:
        """Names the start: another value for each. EngineSilent if nothing listens there."""
        ...


class CommandUnit:
    """In place of `Unit`. With an empty command nothing can restart Docker."""

    def __init__(self, argv: Sequence[str], engine: Peer, systemd: Systemd | None = None) -> None:
        """`systemd`: runs the rest of the system."""
        self.name = argv[0] if argv else "docker"
        self._systemd = systemd
        self._argv = tuple(argv)
        self._engine = engine

    async def state(self) -> UnitState:
        started = self.started()
        return UnitState(Phase.RUNNING, invocation=started) if started else UnitState(Phase.STOPPED)

    def started(self) -> str:
        """Names the start: another value for each; '' if it does not run."""
        try:
            return self._engine.peer()
        except EngineSilent:
            return ""

    async def start_values(self, ours: Path) -> Start:  # noqa: ARG002 - as `Unit`
        return Start((), {}, {})

    async def hanging(self, state: UnitState) -> tuple[str, ...]:  # noqa: ARG002 - as `Unit`
        return ()

    async def start_again(self, units: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002 - as `Unit`
        return ()

    async def goes_down(self) -> bool:
        return self._systemd is not None and await self._systemd.goes_down()

    async def daemon_reload(self) -> None:
        """There are no unit files here."""

    async def reload(self) -> None:
        raise UnitFailed(self.name, "can restart Docker, but cannot make it reload its configuration")

    async def lift_start_limit(self) -> None:
        """Nobody counts starts here."""

    async def restart(self, at_last: AtLast = nothing) -> UnitState:
        """Run the command, then wait until another dockerd listens."""
        before = await self.state()
        await at_last()
        await self._run()

        def is_another(state: UnitState) -> bool:
            return state.is_running and state.invocation != before.invocation

        now = await until(self.state, is_another, within_s=_UP_WITHIN_S, every_s=_LOOK_AGAIN_S)
        if is_another(now):
            return now
        raise RestartFailed(self.name, f"no new dockerd is listening {_UP_WITHIN_S:.0f} s after the command")

    async def stop(self) -> None:
        """Nothing: the command stops and starts in one."""

    async def start(self) -> UnitState:
        return await self.restart()

    async def start_unwatched(self) -> None:
        """Run the command, which stops and starts in one."""
        await self._run()

    async def _run(self) -> None:
        if await self.goes_down():
            raise RestartFailed("docker.restart_command", "was not run: the system is going down")
        try:
            done = await run(self._argv, _UP_WITHIN_S)
        except TimeoutError as error:
            raise RestartFailed("docker.restart_command", f"did not end within {_UP_WITHIN_S:.0f} s") from error
        except OSError as error:
            raise RestartFailed("docker.restart_command", escaped(str(error))) from error
        if done.status != 0:
            raise RestartFailed("docker.restart_command", f"ended with {done.status}: {escaped(done.complaint)}")

"""Where PAC files are evaluated: by systemd's unit, which is started once a policy needs it, or by a child.

Not known here: what is asked (`probe/pac.py`), and what follows from the answers.
"""

from __future__ import annotations

from typing import Final

from agent.probe.pac import ByChild, ByEither, ByUnit, PacEvaluator
from agent.system.systemd import Systemd
from agent.values.errors import AgentError, UnitFailed
from agent.values.paths import Paths

SOCKET: Final = "docker-proxy-agent-pac.socket"
SERVICE: Final = "docker-proxy-agent-pac@.service"  # the template; each connection is an instance of it


def of_the_agent(paths: Paths, systemd: Systemd | None) -> PacEvaluator:
    """Who evaluates for the running agent. A user's own instance, and one below another root, has no units for it."""
    return ByUnit(paths.pac_socket) if paths.is_the_systems and systemd is not None else ByChild()


def of_a_command(paths: Paths) -> PacEvaluator:
    """The same for a command: a caller who may not use the unit evaluates with their own rights."""
    return ByEither(paths.pac_socket) if paths.is_the_systems else ByChild()


class PacUnits:
    """Brings the socket up and down."""

    def __init__(self, systemd: Systemd) -> None:
        self._systemd = systemd

    async def bring_up(self) -> None:
        """AgentError: why it cannot be. A policy without `pac` needs none of it."""
        try:
            await self._systemd.call("start", SOCKET)
        except UnitFailed as error:
            if "not found" in error.what:
                raise AgentError(SOCKET, "is not installed", "Run: sudo docker-proxy-agent install") from error
            raise AgentError(SOCKET, error.what, f"See: journalctl -u {SOCKET} -n 20") from error
        if not await self._systemd.says("is-enabled", "--quiet", SOCKET):
            await self._systemd.call("enable", "--quiet", SOCKET)

    async def bring_down(self) -> None:
        """Nothing if it is not up."""
        if await self._systemd.says("is-enabled", "--quiet", SOCKET):
            await self._systemd.says("disable", "--quiet", SOCKET)
        if await self._systemd.says("is-active", "--quiet", SOCKET):
            await self._systemd.says("stop", SOCKET)

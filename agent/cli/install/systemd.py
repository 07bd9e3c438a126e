"""What installing asks of systemd."""

from __future__ import annotations

from typing import Final

from agent.system.systemd import Systemd
from agent.values.errors import UnitFailed
from agent.values.paths import Paths

UNIT: Final = "docker-proxy-agent.service"
_WITHIN_S: Final = 120.0  # longer than the unit's own limits for a start and a stop


class Service:
    """The agent's own, as the manager of its layout runs it."""

    def __init__(self, paths: Paths) -> None:
        layout = paths.layout
        self._systemd = Systemd(layout.manager, layout.environment, _WITHIN_S)

    async def systemctl(self, *arguments: str) -> None:
        """Raises UnitFailed with what systemctl said."""
        try:
            await self._systemd.call(*arguments)
        except UnitFailed as error:
            where = " ".join(("systemctl", *arguments))
            raise UnitFailed(where, error.what, error.remedy or f"See: journalctl -u {UNIT} -n 50") from error

    async def says(self, *arguments: str) -> bool:
        """The answer of commands such as `is-active`: their exit status."""
        return await self._systemd.says(*arguments)

"""What installing asks of systemd."""

from __future__ import annotations

from typing import Final

from agent.system.systemd import Systemd
from agent.values.errors import UnitFailed

UNIT: Final = "docker-proxy-agent.service"
_SYSTEMD: Final = Systemd(within_s=120.0)  # longer than the unit's own limits for a start and a stop


async def systemctl(*arguments: str) -> None:
    """Raises UnitFailed with what systemctl said."""
    try:
        await _SYSTEMD.call(*arguments)
    except UnitFailed as error:
        where = " ".join(("systemctl", *arguments))
        raise UnitFailed(where, error.what, error.remedy or f"See: journalctl -u {UNIT} -n 50") from error


async def says(*arguments: str) -> bool:
    """The answer of commands such as `is-active`: their exit status."""
    return await _SYSTEMD.says(*arguments)

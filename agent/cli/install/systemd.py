"""What installing asks of systemd."""

from __future__ import annotations

from typing import Final

from agent.system.programs import run
from agent.values.errors import UnitFailed
from agent.values.secret import escaped

UNIT: Final = "docker-proxy-agent.service"
_WITHIN_S: Final = 120.0  # longer than the unit's own limits for a start and a stop


async def systemctl(*arguments: str) -> None:
    """Raises UnitFailed with what systemctl said."""
    if complaint := await _complaint_of(*arguments):
        raise UnitFailed(" ".join(("systemctl", *arguments)), complaint, f"See: journalctl -u {UNIT} -n 50")


async def says(*arguments: str) -> bool:
    """The answer of commands such as `is-active`: their exit status."""
    return not await _complaint_of(*arguments)


async def _complaint_of(*arguments: str) -> str:
    try:
        done = await run(("systemctl", *arguments), _WITHIN_S, {"LC_ALL": "C"})
    except (OSError, TimeoutError) as error:
        raise UnitFailed("systemctl", str(error) or f"no answer within {_WITHIN_S:.0f} s") from error
    return escaped(done.complaint) if done.status else ""

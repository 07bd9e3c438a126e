"""What installing asks of systemd."""

from __future__ import annotations

from typing import Final

from agent.system.programs import run
from agent.values.errors import UnitFailed
from agent.values.secret import escaped

UNIT: Final = "docker-proxy-agent.service"
_WITHIN_S: Final = 120.0  # the unit's own limits for a start and a stop are below


async def systemctl(*arguments: str) -> None:
    """UnitFailed, in its own words, if it cannot."""
    if complaint := await _asked(*arguments):
        raise UnitFailed(" ".join(("systemctl", *arguments)), complaint, f"See: journalctl -u {UNIT} -n 50")


async def says(*arguments: str) -> bool:
    """A question that is answered by the exit status, as `is-active` is."""
    return not await _asked(*arguments)


async def _asked(*arguments: str) -> str:
    try:
        done = await run(("systemctl", *arguments), _WITHIN_S, {"LC_ALL": "C"})
    except (OSError, TimeoutError) as error:
        raise UnitFailed("systemctl", str(error) or f"no answer within {_WITHIN_S:.0f} s") from error
    return escaped(done.complaint) if done.status else ""

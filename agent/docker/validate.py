"""Whether dockerd would take its configuration file, asked before Docker is stopped for a restart.

`dockerd --validate` exists from Docker 23 (FACTS 5); an older one is asked nothing. It does not find everything:
what it lets pass and dockerd refuses is found by the restart, and rolled back.
"""

from __future__ import annotations

from typing import Final

from agent.condition import Code, Condition
from agent.dockerd import Reality
from agent.programs import run
from agent.secret import escaped

_WITHIN_S: Final = 20.0


async def refused(reality: Reality) -> Condition | None:
    """Why the file as it stands, without our change, would keep dockerd from starting; None if nothing does."""
    is_there = reality.daemon_json is not None or reality.daemon_json_fault is not None
    if not is_there or not reality.validates:
        return None
    try:
        done = await run((reality.binary, "--validate", "--config-file", reality.daemon_json_path), _WITHIN_S)
    except (OSError, TimeoutError):  # no answer is no refusal: the restart will tell, and be rolled back
        return None
    if done.status == 0:
        return None
    return Condition(
        Code.FOREIGN_CONFIG_BROKEN,
        f"dockerd would not start with it: {escaped(done.complaint)}; Docker is not restarted",
        "Mend it, then: docker-proxy-agent apply",
        reality.daemon_json_path,
    )

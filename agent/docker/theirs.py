"""What others wrote into daemon.json, and whether dockerd would start with that alone: if not, we are not to blame.

Not known here: what follows (`transaction.py` does not restart, `recover.py` leaves alone what others have broken).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from agent.decide import foreign
from agent.decide.plan import OwnedDaemonJson, without_ours
from agent.docker import validate
from agent.docker.originals import daemon_originals
from agent.targets.refused import TextRefused
from agent.values.dockerd import FileFault, Reality


def owned(reality: Reality, state: Path) -> OwnedDaemonJson:
    """Whether the agent has written to daemon.json, and what it said before. AgentError: that is not known."""
    original = daemon_originals(state).of(reality.daemon_json_path)
    return OwnedDaemonJson(is_ours=True, original=original.text, mode=original.mode) if original else OwnedDaemonJson()


def theirs(reality: Reality, state: Path) -> str | None:
    """The file without our keys; if these cannot be told apart, the file as it is. AgentError as `owned`."""
    was = owned(reality, state)
    try:
        return without_ours(reality, was)
    except TextRefused:
        return reality.daemon_json


async def refusal(text: str | None, reality: Reality) -> FileFault | None:
    """Why dockerd would not start with it."""
    with contextlib.suppress(TextRefused):  # then dockerd is asked
        if (known := foreign.refusal(text, reality)) is not None:
            return known
    return await validate.refused(reality, text)

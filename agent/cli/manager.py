"""What the user's service manager gives to all that it starts, Docker and the agent included."""

from __future__ import annotations

import asyncio

from agent.system.systemd import manager
from agent.values.errors import AgentError, UnitFailed
from agent.values.paths import Layout, Paths


def started_with(layout: Layout) -> dict[str, str] | None:
    """The environment; None where no such manager runs."""
    systemd = manager(Paths(layout=layout))
    try:
        return None if systemd is None else asyncio.run(systemd.started_with())
    except UnitFailed as error:
        raise AgentError(
            "--user", f"your systemd does not answer: {error.what}", "See: systemctl --user status"
        ) from error

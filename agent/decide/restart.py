"""Whether Docker is restarted now, later or not at all, and why.

Pure. It is asked only where dockerd runs with other settings than it should; until restarts learn to spare
containers, a container that runs is a reason to wait unless the policy or a person says otherwise.
"""

from __future__ import annotations

import enum

import msgspec

from agent.policy import Restart


class When(enum.Enum):
    """When Docker is restarted."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class Restarting(msgspec.Struct, frozen=True):
    """The answer, with its reason."""

    when: When
    because: str


def restarting(mode: Restart, containers_running: int, is_asked_now: bool, can_restart: bool = True) -> Restarting:
    """When a restart that is due may happen. `is_asked_now`: a person said `apply --now`, which overrules."""
    if not can_restart:
        return Restarting(When.LATER, "nothing here can restart Docker: docker.restart_command is empty")
    if is_asked_now:
        return Restarting(When.NOW, "asked for by --now")
    if mode is Restart.NEVER:
        return Restarting(
            When.NEVER, 'docker.restart = "never": restart Docker by hand, or: docker-proxy-agent apply --now'
        )
    if mode is Restart.ALWAYS:
        return Restarting(When.NOW, 'docker.restart = "always"')
    if containers_running == 0:
        return Restarting(When.NOW, "no container runs")
    running = "1 container runs" if containers_running == 1 else f"{containers_running} containers run"
    return Restarting(When.LATER, f"{running}; to restart all the same: docker-proxy-agent apply --now")

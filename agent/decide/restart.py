"""Whether Docker is restarted now, later or not at all, and why.

Pure. It is asked only where dockerd runs with other settings than it should.

                  nothing runs   containers run                            a pull, push or build is in flight
    protect       now            urgent: now, and they survive; else wait  urgent: now; else wait
    when-idle     now            wait                                      urgent: now; else wait
    always        now            now                                       now
    never         by hand        by hand                                   by hand

A container survives by live-restore. Not known here: what is urgent (`urgent.py`), and how often (`rate.py`).
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from agent.decide.urgent import Urgency
from agent.dockerd import Reality
from agent.policy import Restart

BY_HAND: Final = "to restart all the same: docker-proxy-agent apply --now"


BELIEVED_S: Final = 3600.0  # what takes longer than that is no transfer: log drivers have connections, too


class When(enum.Enum):
    """When Docker is restarted."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class Restarting(msgspec.Struct, frozen=True):
    """The answer, with its reason."""

    when: When
    because: str
    keeps_containers: bool = False  # live-restore has to be switched on for it
    spares_containers: bool = False  # one that starts at the last moment is a reason to wait, too


class Busy(msgspec.Struct, frozen=True):
    """What a restart would meet."""

    containers: int = 0
    transfer: str = ""  # a pull, push or build, in words
    cannot_keep: str = ""  # why containers would not survive a restart; '': they would
    is_keeping: bool = False  # dockerd has live-restore on as it is

    def __str__(self) -> str:
        if not self.containers:
            return f"{self.transfer} is in flight"
        return "1 container runs" if self.containers == 1 else f"{self.containers} containers run"


def busy(reality: Reality, not_taken: str = "", *, believes_transfer: bool = True) -> Busy:
    """`not_taken`: why this very dockerd did not switch live-restore on when it was told to."""
    engine = reality.engine
    if engine is None:
        return Busy()
    reason = not_taken or cannot_keep(reality)
    transfer = reality.transfer if believes_transfer else ""
    return Busy(engine.containers_running, transfer, reason, engine.live_restore)


def in_flight_since(since: float | None, transfer: str, now: float) -> float | None:
    """Since when dockerd is in the middle of something without a pause; `since`: what was said the last time."""
    if not transfer:
        return None
    return now if since is None else since


def is_believed(since: float | None, now: float) -> bool:
    """Whether what is in flight is taken for a transfer."""
    return since is not None and now - since < BELIEVED_S


def cannot_keep(reality: Reality) -> str:
    """Why containers cannot survive a restart of this dockerd; '' if they can (FACTS 15)."""
    engine = reality.engine
    if engine is None:
        return "dockerd does not answer"
    if engine.live_restore:
        return ""
    if engine.is_swarm:
        return "live-restore and Swarm exclude each other"
    if reality.flags.live_restore is not None:
        return "live-restore is a flag of dockerd, and the file may not say otherwise"
    if not reality.is_systemd:
        return "nothing here makes dockerd read its file again"
    return ""


def hangs_on_urgency(mode: Restart, met: Busy, is_asked_now: bool) -> bool:
    """Whether the answer needs to know how urgent it is."""
    if is_asked_now:
        return False
    if mode is Restart.WHEN_IDLE:
        return bool(met.transfer) and not met.containers
    return mode is Restart.PROTECT and bool(met.containers or met.transfer)


def restarting(
    mode: Restart, met: Busy, urgency: Urgency | None, is_asked_now: bool, can_restart: bool = True
) -> Restarting:
    """When a restart that is due may happen. `is_asked_now`: a person said `apply --now`, which overrules.

    `urgency`: None: not known, and so nothing is risked for it.
    """
    if not can_restart:
        return Restarting(When.LATER, "nothing here can restart Docker: docker.restart_command is empty")
    keeps = mode is Restart.PROTECT and bool(met.containers) and not met.is_keeping and not met.cannot_keep
    if is_asked_now:
        return Restarting(When.NOW, "asked for by --now", keeps)
    if mode is Restart.NEVER:
        return Restarting(
            When.NEVER, 'docker.restart = "never": restart Docker by hand, or: docker-proxy-agent apply --now'
        )
    if mode is Restart.ALWAYS:
        return Restarting(When.NOW, 'docker.restart = "always"')
    if not met.containers and not met.transfer:
        return Restarting(When.NOW, "no container runs", spares_containers=True)
    if (met.containers and mode is Restart.WHEN_IDLE) or urgency is None:
        return Restarting(When.LATER, f"{met}; {BY_HAND}")
    if not urgency.is_urgent:
        return Restarting(When.LATER, f"{met}, and {urgency.because}; {BY_HAND}")
    return _urgent(met, urgency, keeps=keeps)


def _urgent(met: Busy, urgency: Urgency, *, keeps: bool) -> Restarting:
    if not met.containers:
        return Restarting(When.NOW, f"{urgency.because}; {met.transfer} is broken off", spares_containers=True)
    if met.cannot_keep:
        return Restarting(When.LATER, f"{met} and would not survive: {met.cannot_keep}; {BY_HAND}")
    return Restarting(When.NOW, f"{urgency.because}; {met} and will go on", keeps)

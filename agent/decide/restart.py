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
from agent.targets import daemon_json

BY_HAND: Final = "to restart all the same: docker-proxy-agent apply --now"


BELIEVED_S: Final = 3600.0  # what takes longer than that is no transfer: log drivers have connections, too

SAME_S: Final = 120.0  # what is seen again later than this is another one: a restart that waits is looked at more often


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
    overrules: bool = False  # a person's word: made even if containers cannot be kept


class Busy(msgspec.Struct, frozen=True):
    """What a restart would meet."""

    containers: int = 0
    transfer: str = ""  # a pull, push or build, in words
    cannot_keep: str = ""  # why containers would not survive a restart; '': they would
    is_keeping: bool = False  # live-restore is on, and stays on over a start

    def __str__(self) -> str:
        if not self.containers:
            return f"{self.transfer} is in flight"
        return "1 container runs" if self.containers == 1 else f"{self.containers} containers run"


def busy(reality: Reality, not_taken: str = "", *, believes_transfer: bool = True) -> Busy:
    """`not_taken`: why this very dockerd did not switch live-restore on when it was told to. TextRefused: as a plan."""
    engine = reality.engine
    if engine is None:
        return Busy()
    keeps = is_keeping(reality)
    reason = "" if keeps else not_taken or cannot_keep(reality)
    transfer = reality.transfer if believes_transfer else ""
    return Busy(engine.containers_running, transfer, reason, keeps)


def is_keeping(reality: Reality) -> bool:
    """Whether containers survive a restart as things are: what the next dockerd reads counts, too (FACTS 15)."""
    is_on = reality.engine is not None and reality.engine.live_restore
    return is_on and (bool(reality.flags.live_restore) or daemon_json.live_restore(reality.daemon_json) is True)


class InFlight(msgspec.Struct, frozen=True):
    """Since when dockerd is in the middle of something, as far as somebody looked."""

    since: float | None = None
    last: float = 0.0  # when it was last seen

    def seen(self, transfer: str, now: float) -> InFlight:
        """`transfer`: what it is in the middle of now, if anything."""
        if not transfer:
            return InFlight()
        is_the_same = self.since is not None and now - self.last < SAME_S
        return InFlight(self.since if is_the_same else now, now)

    def is_believed(self, now: float) -> bool:
        """Whether what is in flight is taken for a transfer."""
        return self.since is not None and now - self.since < BELIEVED_S


def cannot_keep(reality: Reality) -> str:
    """Why live-restore cannot be switched on for a restart of this dockerd; '' if it can (FACTS 15)."""
    engine = reality.engine
    if engine is None:
        return "dockerd does not answer"
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
        return Restarting(When.NOW, "asked for by --now", keeps, overrules=True)
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

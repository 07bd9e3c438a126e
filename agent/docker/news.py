"""What the log says of Docker itself, whoever caused it: each start and each stop, once.

A look at Docker and what is recorded already go in, what is still to be recorded comes out. Not known here: what the
agent does to Docker; it records its own starts where it makes them, with `started` and `stopped`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import UNSET, UnsetType

from agent.audit.so_far import SoFar
from agent.decide.effective import effective
from agent.system.clock import MOMENTS
from agent.values.dockerd import Cause, Phase, Reality, UnitState
from agent.values.events import (
    RECORDED_BEFORE,
    SAID_LATER,
    SERVED_FROM_NOW,
    DockerStarted,
    DockerStopped,
    Facts,
    RestartDropped,
)

At = Callable[[float], str]  # a moment of CLOCK_MONOTONIC as RFC 3339; '' if that is not known

_CRASHED: Final = "it crashed, and systemd started it"
_DOWN: Final = {
    Phase.STOPPED: "it was stopped",
    Phase.BROKEN: "it failed",
    Phase.ABSENT: "its unit is gone",
    Phase.MASKED: "its unit is masked",
}
_GONE: Final = "it is no longer running"  # without systemd nobody says whether it crashed
_NOTHING_TO_RESTART: Final = "Docker stopped: there is nothing to restart"


def of_docker(reality: Reality, so_far: SoFar, at: At) -> Iterator[Facts]:
    """Starts and stops that are not recorded yet."""
    unit, name = reality.unit, reality.unit_name
    running, shown, known = effective(reality), so_far.shown, so_far.of(name)
    is_another = shown.unit not in ("", name)  # until now another Docker was served
    # What this one did then may be long ago, and is no news of the one that is served.
    at = _not_told if is_another else at
    if unit.is_running and unit.invocation and not so_far.says_start(name, unit.invocation):
        is_known = unit.invocation == known.start
        cause = known.cause or UNSET if is_known else Cause.OTHERS
        because = _CRASHED if unit.restarts and cause is Cause.OTHERS else ""
        if is_known:
            because = RECORDED_BEFORE
        yield started(reality, cause=cause, at=at, because=SERVED_FROM_NOW if is_another else because)
    elif unit.is_running and so_far.says_start(name, unit.invocation) and shown.is_silent and running is not None:
        yield DockerStarted(
            unit=name,
            cause=known.cause or UNSET,
            effective=running,
            invocation=unit.invocation,
            started_at=shown.started_at or UNSET,
            because=SAID_LATER,
        )
    elif unit.phase in _DOWN and not unit.has_job and not unit.comes_back and not so_far.says_down(name):
        is_said = reality.is_systemd or unit.phase is not Phase.STOPPED
        because = _DOWN[unit.phase] if is_said else _GONE
        yield stopped(name, unit, cause=Cause.OTHERS, at=at, because=because)
        if known.restart_waits:
            yield RestartDropped(unit=name, because=_NOTHING_TO_RESTART)


def _not_told(_moment: float) -> str:
    return ""


def started(reality: Reality, *, cause: Cause | UnsetType, at: At = MOMENTS.at, because: str = "") -> DockerStarted:
    """The start of the Docker that was seen to run."""
    running, unit = effective(reality), reality.unit
    return DockerStarted(
        unit=reality.unit_name,
        cause=cause,
        effective=UNSET if running is None else running,
        invocation=unit.invocation,
        started_at=at(unit.since) or UNSET,
        down_since=at(unit.left_at) or UNSET,
        because=because or UNSET,
    )


def stopped(name: str, unit: UnitState, *, cause: Cause, at: At = MOMENTS.at, because: str) -> DockerStopped:
    """`name`: of the unit."""
    return DockerStopped(unit=name, cause=cause, because=because, stopped_at=at(unit.left_at) or UNSET)

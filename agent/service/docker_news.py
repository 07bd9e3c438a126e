"""What the log says of Docker itself, whoever caused it: each start and each stop, once.

Pure. Not known here: what the agent did; it records that where it does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from agent.audit.record import SoFar
from agent.decide.effective import effective
from agent.one_pass.seen import Planned, Seen
from agent.values.dockerd import Cause, Phase, Reality
from agent.values.events import DockerStarted, DockerStopped, Facts, RestartDropped
from agent.values.settings import agrees

_CRASHED: Final = "it crashed, and systemd started it"
_SAID_LATER: Final = "it did not say at first what it runs with"
_DOWN: Final = {
    Phase.STOPPED: "it was stopped",
    Phase.BROKEN: "it failed",
    Phase.ABSENT: "its unit is gone",
    Phase.MASKED: "its unit is masked",
}


def of_docker(reality: Reality, so_far: SoFar, started_at: str) -> Iterator[Facts]:
    """Starts and stops that are not recorded yet. `started_at`: when it came up, '' if that is not known."""
    unit = reality.unit
    running = effective(reality)
    if unit.is_running and unit.invocation and unit.invocation != so_far.start:
        yield DockerStarted(
            cause=Cause.AGENT if so_far.is_started else Cause.OTHERS,
            effective=UNSET if running is None else running,
            invocation=unit.invocation,
            started_at=started_at or UNSET,
            because=_CRASHED if unit.restarts and not so_far.is_started else UNSET,
        )
    elif unit.is_running and so_far.start and so_far.is_silent and running is not None:
        yield DockerStarted(
            cause=so_far.cause,
            effective=running,
            invocation=unit.invocation,
            started_at=started_at or UNSET,
            because=_SAID_LATER,
        )
    elif (so_far.start or so_far.is_started) and unit.phase in _DOWN and not unit.has_job and not unit.comes_back:
        yield DockerStopped(because=_DOWN[unit.phase])
        if so_far.restart_waits:
            yield RestartDropped(because="Docker stopped; its next start reads what is written")


def of_a_restart_that_waited(seen: Seen, so_far: SoFar) -> Iterator[Facts]:
    """One that became moot while Docker ran on."""
    if not so_far.restart_waits or not isinstance(seen, Planned):
        return
    is_same = seen.reality.unit.is_running and seen.reality.unit.invocation == so_far.start
    plan = seen.plan
    # That no restart is planned is not enough: none is where Docker does not say what it runs with, or is overruled.
    runs_with_it = plan.effective is not None and agrees(plan.effective, plan.desired)
    if is_same and plan.restart is None and not plan.put_off and runs_with_it:
        yield RestartDropped(because="what Docker runs with is what is wanted again")

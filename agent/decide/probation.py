"""The minute of probation after our restart: a dockerd that came up with new settings may still crash because of them.

Pure. The chain is the start that we made, and what systemd makes of it when it crashes: NRestarts counts up, while
anybody else's start or restart of the unit begins with none (systemd.service(5), Restart=). Times are of
CLOCK_MONOTONIC, which stands still while the machine sleeps.
Not known here: how something is rolled back (`docker/recover.py`).
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from agent.values.dockerd import Phase, UnitState

LASTS_S: Final = 60.0  # as long as docker.service's own start limit counts
CRASHES: Final = 2  # one may be chance
_COMES_BACK_S: Final = 300.0  # units that depend on Docker are stopped first, and may wait for it (FACTS 124)


class Trial(msgspec.Struct, frozen=True):
    """A restart of ours on probation."""

    invocation: str  # the start that was verified, or the last one of its chain that was seen
    restarts: int  # automatic ones, when it was verified
    until: float
    pid: int = 0  # of its dockerd
    crashes: int = 0  # seen and recorded
    units: tuple[str, ...] = ()  # that hung on Docker and were active when it was restarted


class TrialState(enum.Enum):
    """What to do about it."""

    WATCH = "watch"
    PASSED = "passed"
    CAME_BACK = "came-back"  # it crashed and systemd restarted it: record that, and keep watching
    OVER = "over"  # somebody else has taken over
    FAILED = "failed"  # as if it had not come up


def judged(trial: Trial, unit: UnitState, now: float) -> TrialState:
    """By the state of the unit now."""
    crashes = unit.restarts - trial.restarts + unit.comes_back
    happened = min(now, unit.since) if unit.since else now
    match unit.phase:
        case Phase.BROKEN if happened > trial.until:
            return TrialState.OVER
        case Phase.BROKEN if unit.comes_back and crashes < CRASHES:
            return TrialState.WATCH
        case Phase.BROKEN if unit.is_stuck_in_stop and crashes < 1:
            return TrialState.OVER  # a person stopped it, and did not wait for the end
        case Phase.BROKEN:
            return TrialState.FAILED
        case Phase.RUNNING if crashes >= CRASHES and happened <= trial.until:
            return TrialState.FAILED
        case Phase.RUNNING if crashes > trial.crashes:
            return TrialState.CAME_BACK
        case Phase.RUNNING if unit.invocation == trial.invocation:
            return TrialState.WATCH if now < trial.until else TrialState.PASSED
        case Phase.STARTING | Phase.STOPPING if now < trial.until + (_COMES_BACK_S if crashes > trial.crashes else 0):
            return TrialState.WATCH
    return TrialState.OVER


def went_on(trial: Trial, unit: UnitState) -> Trial:
    """The same with the crash that was just recorded. A start after the minute has a minute of its own."""
    crashes = unit.restarts - trial.restarts
    is_late = unit.since > trial.until and crashes < CRASHES
    until = unit.since + LASTS_S if is_late else trial.until
    return msgspec.structs.replace(trial, invocation=unit.invocation, pid=unit.pid, crashes=crashes, until=until)

"""When others change our keys: correct them, or give up.

Pure: what was counted, the target and the time (CLOCK_BOOTTIME seconds) go in; the new count and what to do come out.
Not known here: how a foreign change is told from our own (`plan.py`), and what putting right takes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

TIMES: Final = 5  # a service that writes at its start and at ours is no fight; five times is one
WITHIN_S: Final = 600.0


class Correcting(enum.Enum):
    """What is done about a foreign change."""

    PUT_RIGHT = "put-right"
    GIVE_UP = "give-up"  # given up now: reported once
    LEAVE = "leave"  # given up before


class Correction(msgspec.Struct, frozen=True):
    """The answer, with its reason."""

    answer: Correcting
    because: str


class Drifts(msgspec.Struct, frozen=True):
    """Foreign changes by target. A reload starts again from none."""

    times: Mapping[str, tuple[float, ...]] = msgspec.field(default_factory=dict)
    given_up: Mapping[str, str] = msgspec.field(default_factory=dict)  # by target: why


def drifted(drifts: Drifts, target: str, now: float, who: str | None = None) -> tuple[Drifts, Correction]:
    """Count one foreign change of a target. The fifth within ten minutes is not corrected any more."""
    if target in drifts.given_up:
        return drifts, Correction(Correcting.LEAVE, drifts.given_up[target])
    by = who or "somebody else"
    recent = (*(at for at in drifts.times.get(target, ()) if at > now - WITHIN_S), now)
    if len(recent) < TIMES:
        counted = msgspec.structs.replace(drifts, times={**drifts.times, target: recent})
        times = "once" if len(recent) == 1 else f"{len(recent)} times"
        because = f"{by} changed the agent's keys ({times} in {WITHIN_S / 60:.0f} min)"
        return counted, Correction(Correcting.PUT_RIGHT, because)
    others = {name: times for name, times in drifts.times.items() if name != target}
    because = f"{by} changed the agent's keys {TIMES} times in {WITHIN_S / 60:.0f} min; the agent leaves them alone"
    return Drifts(others, {**drifts.given_up, target: because}), Correction(Correcting.GIVE_UP, because)

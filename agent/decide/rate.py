"""How often Docker may be restarted: when the next restart is allowed, and why.

Pure: the last starts of dockerd and the time of the last network change go in, all in CLOCK_BOOTTIME seconds. Not known
here: whether a restart is due, and whether containers hold it back (`restart.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import msgspec

AT_ONCE: Final = 3  # so many may follow network changes at once …
WITHIN_S: Final = 60.0  # … within this


class Cause(enum.Enum):
    """Who or what started dockerd."""

    AGENT = "agent"
    OTHERS = "others"  # counted as ours: it is the containers and pulls that are spared
    ROLL_BACK = "roll-back"  # not counted: it must never wait, and is no reason to wait


class Start(msgspec.Struct, frozen=True):
    """One start of dockerd."""

    at: float
    cause: Cause = Cause.AGENT


class Asked(enum.Enum):
    """Who wants the restart."""

    AGENT = "agent"
    PERSON = "person"  # `apply`: waits its turn, and is told so
    NOW = "now"  # `apply --now`: waits for nothing


class Allowed(msgspec.Struct, frozen=True):
    """When a restart may happen, with the reason."""

    at: float
    because: str

    def is_now(self, now: float) -> bool:
        return now >= self.at


def started(starts: Sequence[Start], start: Start) -> tuple[Start, ...]:
    """The starts to remember: more than the last few counted ones are never asked for."""
    if start.cause is Cause.ROLL_BACK:
        return tuple(starts)
    return (*starts, start)[-AT_ONCE:]


def allowed_at(
    starts: Sequence[Start], changed: float, min_interval_s: float, now: float, asked: Asked = Asked.AGENT
) -> Allowed:
    """When the next restart may happen; `changed` is when this network was come to."""
    if asked is Asked.NOW:
        return Allowed(now, "asked for by --now")
    counted = sorted(start.at for start in starts if start.cause is not Cause.ROLL_BACK)
    if not counted:
        return Allowed(now, "Docker was not started lately")
    last = counted[-1]
    turn = last + min_interval_s
    if now >= turn:
        return Allowed(now, f"the last start of Docker is {now - last:.0f} s ago")
    if changed <= last:
        return Allowed(turn, _wait("within one network", min_interval_s, turn - now, asked))
    # Whichever is sooner: there is room among the three again, or it is its turn anyway.
    room = counted[-AT_ONCE] + WITHIN_S if len(counted) >= AT_ONCE else now
    if now >= room:
        return Allowed(now, "the network changed since Docker was last started")
    at = min(room, turn)
    return Allowed(at, _wait(f"after {AT_ONCE} starts in {WITHIN_S:.0f} s", min_interval_s, at - now, asked))


def _wait(where: str, min_interval_s: float, left_s: float, asked: Asked) -> str:
    because = f"one restart in {min_interval_s:.0f} s {where} (docker.min_interval): {left_s:.0f} s left"
    return f"{because}; not to wait: docker-proxy-agent apply --now" if asked is Asked.PERSON else because

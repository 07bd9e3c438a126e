"""How often Docker may be restarted: when the next restart is allowed, and why.

Pure: when dockerd was last started, when the network last changed and what came of the changes before go in, all in
CLOCK_BOOTTIME seconds. Not known here: whether a restart is due, and whether containers hold it back (`restart.py`).
"""

from __future__ import annotations

import enum

import msgspec

from agent.decide.unsteady import STEADY, Shaken


class Asked(enum.Enum):
    """Who wants the restart."""

    AGENT = "agent"
    PERSON = "person"  # `apply`: waits its turn, and says so
    NOW = "now"  # `apply --now`: waits for nothing


class Allowed(msgspec.Struct, frozen=True):
    """When a restart may happen, with the reason."""

    at: float
    because: str
    is_for_a_person: bool = False  # a person is told how not to wait

    def waits(self, at: str) -> str:
        """Why it has to wait, and until when: a time of day, since a countdown would be wrong where it is read later.

        `at`: the same as a time of day.
        """
        how = "; to restart now: docker-proxy-agent apply --now" if self.is_for_a_person else ""
        return f"{self.because}: not before {at}{how}"

    def is_now(self, now: float) -> bool:
        return now >= self.at


def is_by_change(last_start: float | None, shaken: Shaken, changed: float) -> bool:
    """Whether a restart now follows a network change: Docker was not started since the host arrived here."""
    return all(at is None or changed > at for at in (last_start, shaken.last))


def allowed_at(  # noqa: PLR0913 - each is a part of the rule
    last_start: float | None,
    changed: float,
    min_interval_s: float,
    now: float,
    *,
    asked: Asked = Asked.AGENT,
    shaken: Shaken = STEADY,
) -> Allowed:
    """When the next restart may happen.

    `last_start`: when dockerd was last started, by whomever; None: no start was seen. `changed`: when the host
    arrived in this network.
    """
    if asked is Asked.NOW:
        return Allowed(now, "requested with --now")
    if is_by_change(last_start, shaken, changed):
        at = shaken.allowed_at(changed, now)
        if at > now:
            return Allowed(at, shaken.waiting, asked is Asked.PERSON)
        if last_start is not None:
            return Allowed(now, "the network changed since Docker was last started")
    if last_start is None:
        return Allowed(now, "Docker was not started recently")
    turn = last_start + min_interval_s
    if now >= turn:
        return Allowed(now, f"Docker was last started {now - last_start:.0f} s ago")
    because = f"at most one restart in {min_interval_s:.0f} s in one network (docker.min_interval)"
    return Allowed(turn, because, asked is Asked.PERSON)

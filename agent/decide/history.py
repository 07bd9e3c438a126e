"""What the service remembers of its verdicts: since when an upstream works or fails, and in which network.

Pure: a history and what was just seen go in, the next history comes out; times are CLOCK_BOOTTIME seconds. The memory
only ever holds a choice back. Not known here: what follows from it (`choose.py`), and when to look (`next_look.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from agent.decide.place import Whereabouts
from agent.values.verdict import Verdict

WORKED_LATELY_S: Final = 60.0  # if the upstream in use did, the host has not moved
# Failed probes closer together count as one: a burst of wake-ups is no evidence against an upstream.
FAILURES_APART_S: Final = 2.0


class Streak(msgspec.Struct, frozen=True):
    """How one upstream does here: the last verdict, and the streak that it continues."""

    verdict: Verdict
    since: float  # when it began to work, or to fail, in a row
    seen: float  # when it was last probed
    failures: int = 0  # failed probes in a row, each FAILURES_APART_S after the one before
    counted: float = 0.0  # when the last one was counted
    worked: float | None = None  # when it last worked; None: never here
    has_failed: bool = False

    @property
    def has_worked(self) -> bool:
        return self.worked is not None

    @property
    def is_ok(self) -> bool:
        return self.verdict.is_ok


class History(msgspec.Struct, frozen=True):
    """What is remembered within one network; at the start, nothing."""

    fingerprint: str | None = None  # of the last network that was online; None: there was none yet
    place: Whereabouts | None = None  # regardless of addresses and DNS; None: unknown
    is_online: bool = False
    changed: float = 0.0  # when the host came here from another network
    arrived: float = 0.0  # that, or when it came back after being offline: patience runs from here
    stirred: float | None = None  # when addresses or DNS last changed under an upstream that worked
    woken: float = 0.0  # the last boot or resume
    looked: float = 0.0  # when verdicts last came in
    looks: int = 0  # how often they did since arrival
    chosen: str | None = None  # the upstream last chosen here
    streaks: Mapping[str, Streak] = msgspec.field(default_factory=dict)

    def verdict(self, name: str) -> Verdict | None:
        """The last verdict, if there was one since arrival."""
        streak = self.streaks.get(name)
        return streak.verdict if streak is not None and streak.seen >= self.arrived else None


def after(history: History, verdicts: Mapping[str, Verdict], now: float) -> History:
    """The history with these verdicts. A bare connect that was refused is a verdict, too."""
    streaks = {name: _continued(history.streaks.get(name), verdict, now) for name, verdict in verdicts.items()}
    return msgspec.structs.replace(history, streaks={**history.streaks, **streaks}, looked=now, looks=history.looks + 1)


def moved(history: History, fingerprint: str | None, now: float, place: Whereabouts | None = None) -> History:
    """The history where this is what the network looks like; None: offline.

    Another fingerprint than the last online one is a network change and forgets everything, but for one thing: where
    only addresses or DNS differ, in a place whose upstream in use has just worked, nobody moved. Offline and back to
    the same starts patience anew, and no more.
    """
    if fingerprint is None:
        return msgspec.structs.replace(history, is_online=False) if history.is_online else history
    if fingerprint != history.fingerprint:
        if not _is_hole(history, place, now):
            return History(
                fingerprint, place, is_online=True, changed=now, arrived=now, woken=history.woken, looked=now
            )
        history = msgspec.structs.replace(history, fingerprint=fingerprint, stirred=now)
    elif place != history.place:  # by another policy, or not known yet
        history = msgspec.structs.replace(history, place=place)
    if not history.is_online:
        return msgspec.structs.replace(history, is_online=True, arrived=now, looked=now, looks=0)
    return history


def _is_hole(history: History, place: Whereabouts | None, now: float) -> bool:
    in_use = None if history.chosen is None else history.streaks.get(history.chosen)
    if place is None or place != history.place or in_use is None or in_use.worked is None:
        return False
    return now <= in_use.worked + WORKED_LATELY_S


def resumed(history: History, now: float) -> History:
    """The history of a host that just woke up: apps on it may take a moment to listen again."""
    return msgspec.structs.replace(history, woken=now)


def chose(history: History, upstream: str | None) -> History:
    """The history after a choice; no upstream leaves the last one in use."""
    return history if upstream in {None, history.chosen} else msgspec.structs.replace(history, chosen=upstream)


def without(history: History, upstreams: Collection[str]) -> History:
    """The history where the policy means something else by these names: what is known of them is of no use."""
    return msgspec.structs.replace(
        history,
        streaks={name: streak for name, streak in history.streaks.items() if name not in upstreams},
        chosen=None if history.chosen in upstreams else history.chosen,
    )


def _continued(streak: Streak | None, verdict: Verdict, now: float) -> Streak:
    if streak is None:
        streak = Streak(verdict, now, now)
    since = streak.since if streak.is_ok == verdict.is_ok else now
    if verdict.is_ok:
        return Streak(verdict, since, now, worked=now, has_failed=streak.has_failed)
    counts = streak.failures == 0 or now >= streak.counted + FAILURES_APART_S
    return Streak(
        verdict,
        since,
        now,
        failures=streak.failures + counts,
        counted=now if counts else streak.counted,
        worked=streak.worked,
        has_failed=True,
    )

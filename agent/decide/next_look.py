"""When to look next without being woken, at which upstreams, and why.

Pure: the situation and the last choice go in, the next look comes out; times are CLOCK_BOOTTIME seconds. Only what was
asked for makes a timer: an idle laptop wakes up for `recheck` and nothing else. Not known here: other wake-ups, and how
upstreams are probed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.decide.choose import (
    APP_STARTS_S,
    PATIENCE_S,
    SOFT_AGAIN_S,
    Choice,
    Ending,
    Situation,
    is_kept_so_far,
    is_proved,
    is_starting,
    patience_left,
)
from agent.decide.history import FAILURES_APART_S, History
from agent.decide.standing import Standing
from agent.values.policy import Network, Policy
from agent.values.verdict import Outcome

STUCK_S: Final = 5.0  # nothing works, or a portal: a person is waiting
STUCK_LONG_S: Final = 30.0  # … and is not any more
STUCK_IS_LONG_S: Final = 600.0
CONNECT_S: Final = 5.0  # an app on loopback that may start at any moment: a connect costs nothing there
CONNECT_FOR_S: Final = 600.0  # after boot, resume or its loss


class NextLook(msgspec.Struct, frozen=True):
    """When to look next; upstreams to probe, and upstreams that only a connect is tried to (success is a wake-up)."""

    at: float
    because: str
    probe: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()


def next_look(situation: Situation, choice: Choice | None, now: float) -> NextLook | None:
    """The earliest look that is due; None: only events. Without a choice, as offline, nothing is probed."""
    looks = list(_ends(situation.network, situation.standing, now))
    if situation.history.is_online and choice is not None:
        looks += _probes(situation, choice, now)
    if not looks:
        return None
    at = min(look.at for look in looks)
    due = [look for look in looks if look.at == at]
    return NextLook(
        at,
        "; ".join(dict.fromkeys(look.because for look in due)),
        tuple(dict.fromkeys(name for look in due for name in look.probe)),
        tuple(dict.fromkeys(name for look in due for name in look.connect)),
    )


def _ends(network: Network, standing: Standing, now: float) -> Iterator[NextLook]:
    """What stands ends by itself."""
    if standing.pin is not None and standing.pin.until is not None and now < standing.pin.until:
        yield NextLook(standing.pin.until, f"the pin of {standing.pin.upstream} ends", network.use)
    if standing.pause is not None and standing.pause.until is not None and now < standing.pause.until:
        yield NextLook(standing.pause.until, "the pause ends", network.use)
    for name, until in standing.quarantined.items():
        if now < until and name in network.use:
            yield NextLook(until, f"the quarantine of {name} ends", network.use)


def _probes(situation: Situation, choice: Choice, now: float) -> Iterator[NextLook]:
    policy, network = situation.policy, situation.network
    history, standing = situation.history, situation.standing
    yield from _connects(network, history, standing, choice)
    if choice.upstream is not None and choice.upstream == standing.pinned(policy.upstreams, now):
        yield from _recheck(policy, network, history, choice.upstream)
        return
    in_use = choice.upstream or history.chosen
    if choice.ending is Ending.WAITING:
        yield from _waiting(network, history, standing, now)
    else:
        # `direct` that is taken because nothing works need not be in `use`: what was seen of it says nothing then.
        streak = history.streaks.get(choice.upstream) if choice.upstream in network.use else None
        if streak is not None and is_kept_so_far(history, streak, policy.probe, now):
            # All of them: what it is given up for must have been asked just now.
            yield NextLook(streak.counted + FAILURES_APART_S, f"{in_use} failed, and is asked again", network.use)
            return
        if streak is None or not streak.is_ok:
            yield _stuck(network, history, now)
            return
    if in_use is None or in_use not in network.use:
        return
    yield from _recheck(policy, network, history, in_use)
    for name in _preferred(network, in_use):
        streak = history.streaks.get(name)
        if streak is not None and streak.is_ok and not is_proved(streak, policy.probe):
            yield NextLook(streak.since + policy.probe.failback, f"{name} has worked for probe.failback then", (name,))


def _waiting(network: Network, history: History, standing: Standing, now: float) -> Iterator[NextLook]:
    """Those that may still come are asked again, quickly and then less so."""
    pause = SOFT_AGAIN_S[min(max(history.looks - 1, 0), len(SOFT_AGAIN_S) - 1)]
    verdicts = {name: history.verdict(name) for name in network.use}
    if patience_left(history, now) > 0:
        soft = tuple(name for name, verdict in verdicts.items() if verdict is None or verdict.is_soft)
        at = min(history.looked + pause, history.arrived + PATIENCE_S)
        yield NextLook(at, "patience after a change", soft or network.use)
    elif any(is_starting(name, history, standing, now) for name in network.use):
        at = min(history.looked + STUCK_S, history.woken + APP_STARTS_S)
        yield NextLook(at, "apps on this host may still start", network.use)
    else:
        yield NextLook(history.looked + pause, "an answer is missing", network.use)


def _stuck(network: Network, history: History, now: float) -> NextLook:
    """Nothing works: soon at first, when a person may be waiting, then less often."""
    streaks = [history.streaks[name] for name in network.use if name in history.streaks]
    since = max((history.arrived, *(streak.since for streak in streaks)))
    asked = min((streak.seen for streak in streaks), default=history.looked)
    pause = STUCK_S if now < since + STUCK_IS_LONG_S else STUCK_LONG_S
    return NextLook(max(asked, history.arrived) + pause, "nothing works here", network.use)


def _recheck(policy: Policy, network: Network, history: History, in_use: str) -> Iterator[NextLook]:
    """The chosen one, and all preferred to it."""
    if not policy.probe.recheck:
        return
    names = (*_preferred(network, in_use), in_use)
    asked = min(history.streaks[name].seen if name in history.streaks else history.looked for name in names)
    yield NextLook(asked + policy.probe.recheck, "probe.recheck", names)


def _connects(network: Network, history: History, standing: Standing, choice: Choice) -> Iterator[NextLook]:
    """A preferred app on this host that is not started yet, or that was lost."""
    for name in _preferred(network, choice.upstream):
        streak = history.streaks.get(name)
        if name not in standing.on_loopback or streak is None or streak.verdict.outcome is not Outcome.REFUSED:
            continue
        lost = max(history.woken, streak.since) if streak.has_worked else history.woken
        if streak.seen + CONNECT_S <= lost + CONNECT_FOR_S:
            yield NextLook(streak.seen + CONNECT_S, f"{name} may have started", connect=(name,))


def _preferred(network: Network, in_use: str | None) -> tuple[str, ...]:
    """Those preferred to one of `use`; to none: all; to one that is not in `use`, by a person's will: none."""
    if in_use is None:
        return network.use
    return network.use[: network.use.index(in_use)] if in_use in network.use else ()

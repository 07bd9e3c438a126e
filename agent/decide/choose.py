"""Which upstream to use, and why.

Pure: the network, the verdicts so far and what is left of patience go in, a `Choice` comes out. `choose` is the rule
for who has no history; `choose_on` is the service's, which holds on to what it chose and knows of pins and quarantines.
Not known here: how a verdict came about, and whether a choice is worth a restart.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from agent.decide.history import History, Streak
from agent.decide.standing import Standing
from agent.values.policy import DIRECT_NAME, Network, Policy, Probing, Unreachable, Upstream
from agent.values.secret import MORE
from agent.values.verdict import Outcome, Verdict

PATIENCE_S: Final = 5.0  # after a network change DHCP, DNS and VPNs still arrive (FACTS 23)
HOLE_S: Final = 30.0  # … the same for the upstream in use where only addresses or DNS changed
_OF_A_HOLE: Final = frozenset({Outcome.DNS, Outcome.NO_ROUTE, Outcome.TIMEOUT})
SOFT_AGAIN_S: Final = (0.3, 0.6, 1.2, 1.2, 1.2)  # when soft verdicts are looked at again
APP_STARTS_S: Final = 60.0  # how long after boot or resume an app that Docker uses may take to start
# An older verdict is not acted on: the upstream is probed again first. What worked on arrival counts for as long as
# patience lasts.
BELIEVED_S: Final = PATIENCE_S + 1
# Of a reason, which status, screen, journal and log repeat: a PAC may name 16 upstreams, and call them as it likes.
_MOST_LISTED: Final = 4
_LONGEST_NAME: Final = 80  # characters

_NONE: Final[Mapping[str, str]] = {}


class Ending(enum.Enum):
    """What kind of choice it is."""

    CHOSEN = "chosen"
    WAITING = "waiting"  # a preferred upstream may still come; look again
    PORTAL = "portal"  # nothing works, and a login page is in the way: nothing changes
    UNREACHABLE = "unreachable"  # nothing works: nothing changes


class Choice(msgspec.Struct, frozen=True):
    """The upstream picked, with the reason; no upstream unless the ending is CHOSEN."""

    ending: Ending
    because: str
    upstream: str | None = None
    is_pinned: bool = False


class Situation(msgspec.Struct, frozen=True):
    """All that a choice depends on, except the time."""

    policy: Policy
    network: Network  # the one of the policy that the host is in
    history: History
    standing: Standing = Standing()


def choose(
    network: Network,
    verdicts: Mapping[str, Verdict],
    patience_s: float,
    passed_over: Mapping[str, str] = _NONE,
    starting: Collection[str] = (),
) -> Choice:
    """The first usable upstream of the network.

    `verdicts` may lack upstreams that were not waited for. While patience lasts, a less preferred upstream waits
    until every more preferred one has failed hard. `passed_over` says of upstreams why they are not usable whatever
    their verdict; those `starting` are waited for while they are refused.
    """
    for place, name in enumerate(network.use):
        if name in passed_over:
            continue
        verdict = verdicts.get(name)
        if verdict is None:
            return Choice(Ending.WAITING, f"{name} has not answered yet")
        if verdict.is_ok:
            return Choice(Ending.CHOSEN, _reason(network, place, verdicts, passed_over), name)
        if verdict.is_soft and patience_s > 0:
            return Choice(Ending.WAITING, f"{name} does not work yet: {verdict.outcome.value}")
        if verdict.outcome is Outcome.REFUSED and name in starting:
            return Choice(Ending.WAITING, f"{name} may still be starting: refused")
    if any(name in verdicts and verdicts[name].outcome is Outcome.PORTAL for name in network.use):
        return Choice(Ending.PORTAL, f"a portal answers in {network.name}; log in with a browser; nothing is changed")
    failed = _failures(network.use, verdicts, passed_over)
    if network.unreachable is Unreachable.DIRECT and DIRECT_NAME not in passed_over:
        return Choice(Ending.CHOSEN, f'nothing works ({failed}) and unreachable = "direct"', DIRECT_NAME)
    return Choice(Ending.UNREACHABLE, f"nothing works ({failed}): nothing is changed")


def choose_on(situation: Situation, now: float) -> Choice:
    """The upstream to go on with. The one in use is given up, or left for a better one, only on evidence."""
    policy, history, standing = situation.policy, situation.history, situation.standing
    pinned = standing.pinned(policy.upstreams, now)
    # A quarantine overrides even a pin: Docker did not start with these settings, and would not the next time.
    if pinned is not None and not standing.is_quarantined(pinned, now):
        return Choice(Ending.CHOSEN, _reason_of_pin(history.verdict(pinned)), pinned, is_pinned=True)
    if (pac := standing.pinned_pac(policy.upstreams, now)) is not None:
        return _pinned_to(pac, _choose_on(situation, now), history)
    return _choose_on(situation, now)


def within_pin(network: Network, policy: Policy, standing: Standing, now: float) -> Network:
    """The network; while a PAC is pinned, it uses nothing but what that names."""
    pac = standing.pinned_pac(policy.upstreams, now)
    if pac is None:
        return network
    use = pac.candidates or (pac.name,)
    return msgspec.structs.replace(network, use=use, unreachable=Unreachable.KEEP)


def _pinned_to(pac: Upstream, choice: Choice, history: History) -> Choice:
    """Of what a pinned PAC names the first that works; if none does, the first, as with any pin."""
    said = f"{pac.name} is pinned: {choice.because}"
    if choice.ending is Ending.UNREACHABLE and pac.candidates:
        first = pac.candidates[0]
        return Choice(Ending.CHOSEN, f"{said}; {_reason_of_pin(history.verdict(first))}", first, is_pinned=True)
    return msgspec.structs.replace(choice, because=said, is_pinned=True)


def _choose_on(situation: Situation, now: float) -> Choice:
    policy, network = situation.policy, situation.network
    history, standing = situation.history, situation.standing
    quarantined = {name: "quarantined" for name in policy.upstreams if standing.is_quarantined(name, now)}
    held = history.chosen if history.chosen in network.use and history.chosen not in quarantined else None
    streak = None if held is None else history.streaks.get(held)
    is_kept = held is not None and streak is not None and is_kept_so_far(history, streak, policy.probe, now)
    is_working = streak is not None and (streak.is_ok or is_kept)
    choice = choose(
        network,
        {name: verdict for name in network.use if (verdict := history.verdict(name)) is not None},
        patience_left(history, now),
        {**(_unproved(network, history, policy.probe) if is_working else {}), **quarantined},
        starting=[name for name in network.use if is_starting(name, history, standing, now)],
    )
    if is_kept and streak is not None and not _is_before(choice.upstream, held, network):
        return Choice(Ending.CHOSEN, f"{held} {_failing(streak, policy.probe)}: kept so far", held)
    # `direct`, taken because nothing works, need not be in `use`: it is not probed and need not have worked.
    if choice.upstream == history.chosen or choice.upstream not in network.use:
        return choice
    return _if_recent(choice, history, now)


def patience_left(history: History, now: float) -> float:
    """Seconds; zero or less when it is over."""
    return history.arrived + PATIENCE_S - now


def is_starting(name: str, history: History, standing: Standing, now: float) -> bool:
    """Whether it is an app on this host that Docker uses and that may still be starting."""
    return name in standing.on_loopback and name == standing.in_docker and now < history.woken + APP_STARTS_S


def is_kept_so_far(history: History, streak: Streak, probing: Probing, now: float) -> bool:
    """Whether the upstream in use fails and is not given up yet."""
    return is_doubted(streak, probing) or _is_in_a_hole(history, streak, now)


def _is_in_a_hole(history: History, streak: Streak, now: float) -> bool:
    """Whether it fails as if addresses or DNS were incomplete, just after they changed."""
    is_recent = history.stirred is not None and now < history.stirred + HOLE_S
    return is_recent and streak.has_worked and streak.verdict.outcome in _OF_A_HOLE


def is_doubted(streak: Streak, probing: Probing) -> bool:
    """It worked and fails now, but not often enough yet."""
    return not streak.is_ok and streak.has_worked and streak.failures < probing.failures


def _failing(streak: Streak, probing: Probing) -> str:
    outcome = streak.verdict.outcome.value
    if is_doubted(streak, probing):
        return f"failed {streak.failures} of {probing.failures} probes in a row ({outcome})"
    return f"ends in {outcome} since addresses or DNS changed here, less than {HOLE_S:.0f} s ago"


def _unproved(network: Network, history: History, probing: Probing) -> Mapping[str, str]:
    """By name, why a preferred upstream that came back is not taken yet: it must prove itself."""
    before = network.use[: network.use.index(history.chosen)] if history.chosen in network.use else ()
    return {
        name: f"works again, and is used once it has worked for {probing.failback:.0f} s"
        for name in before
        if (streak := history.streaks.get(name)) is not None and streak.is_ok and not is_proved(streak, probing)
    }


def is_proved(streak: Streak, probing: Probing) -> bool:
    """Whether a preferred upstream has worked long enough to replace one that works, too."""
    return not streak.has_failed or streak.seen >= streak.since + probing.failback


def _is_before(name: str | None, other: str | None, network: Network) -> bool:
    return name in network.use and other in network.use and network.use.index(name) < network.use.index(other)


def _if_recent(choice: Choice, history: History, now: float) -> Choice:
    """The choice, unless its verdict is too old to act on."""
    streak = None if choice.upstream is None else history.streaks.get(choice.upstream)
    if streak is None or not streak.is_ok or now <= streak.seen + BELIEVED_S:
        return choice
    return Choice(Ending.WAITING, f"{choice.upstream} worked {now - streak.seen:.0f} s ago: it is asked again")


def _reason_of_pin(verdict: Verdict | None) -> str:
    if verdict is None or verdict.is_ok:
        return "pinned"
    return f"pinned, though it fails here: {verdict.outcome.value}"


def _reason(network: Network, place: int, verdicts: Mapping[str, Verdict], passed_over: Mapping[str, str]) -> str:
    if len(network.use) == 1:
        return f"the only upstream of {network.name}, and it works"
    use = _listed([_short(name) for name in network.use])
    if place == 0:
        return f"first of {use} that works"
    return f"first of {use} that works ({_failures(network.use[:place], verdicts, passed_over)})"


def _failures(names: Iterable[str], verdicts: Mapping[str, Verdict], passed_over: Mapping[str, str]) -> str:
    return _listed([f"{_short(name)} {passed_over.get(name) or verdicts[name].outcome.value}" for name in names])


def _listed(shown: Sequence[str]) -> str:
    if len(shown) <= _MOST_LISTED:
        return ", ".join(shown)
    return f"{', '.join(shown[: _MOST_LISTED - 1])} and {len(shown) - _MOST_LISTED + 1} more"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}{MORE}"

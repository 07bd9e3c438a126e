"""How the service chooses: with a memory of what it saw here, which only ever holds a choice or a restart back.

The rules are pure and lie in `decide/`; here they meet the clock and the probes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from agent.decide import rate
from agent.decide.choose import Choice, Ending, Situation, choose_on
from agent.decide.clients import is_loopback
from agent.decide.history import History, after, chose, moved, resumed, without
from agent.decide.next_look import Look, next_look
from agent.decide.standing import Standing
from agent.policy import Network, Policy, Upstream
from agent.reconcile import Prober
from agent.snapshot import Snapshot
from agent.verdict import Verdict

QUARANTINE_S: Final = 600.0  # settings that Docker did not start with are not tried again at the next wake-up


def boottime() -> float:
    """Seconds of CLOCK_BOOTTIME, which goes on during suspend (FACTS 24)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Memory:
    """The history of one service, across its policies."""

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._history = resumed(History(), clock())
        self._starts: tuple[rate.Start, ...] = ()
        self._waits = rate.Allowed(0.0, "")
        self._look: Look | None = None
        self._policy = Policy()
        self._prober: Prober | None = None
        self._may_restart = False
        self._quarantined: dict[str, float] = {}  # by upstream: until when it is passed over

    def use(self, policy: Policy, prober: Prober) -> None:
        """Another policy: what is known of upstreams that mean something else now is forgotten."""
        before = self._policy.upstreams
        changed = {name for name in before if before[name] != policy.upstreams.get(name)}
        self._history = without(self._history, changed)
        self._quarantined = {name: until for name, until in self._quarantined.items() if name not in changed}
        self._policy, self._prober = policy, prober

    def now(self) -> float:
        return self._clock()

    def resumed(self) -> None:
        self._history = resumed(self._history, self._clock())

    def may_restart(self) -> None:
        """systemd has been told READY: from now on a restart of Docker does not wait for us, nor we for it."""
        self._may_restart = True

    def quarantine(self, upstream: str) -> None:
        """Docker did not start with it, or ran with something else: pass it over for a while."""
        self._quarantined[upstream] = self._clock() + QUARANTINE_S

    def forgive(self) -> None:
        """A person asks: whatever was passed over may be tried again."""
        self._quarantined = {}

    @property
    def quarantined(self) -> tuple[str, ...]:
        """What is passed over now."""
        return tuple(name for name, until in self._quarantined.items() if self._clock() < until)

    def offline(self) -> None:
        self._history = moved(self._history, None, self._clock())
        self._look = None

    def docker_started(self, cause: rate.Cause) -> None:
        self._starts = rate.started(self._starts, rate.Start(self._clock(), cause))

    async def chosen(self, network: Network, snapshot: Snapshot) -> tuple[Mapping[str, Verdict], Choice]:
        assert self._prober is not None  # noqa: S101 - `use` comes first
        self._history = moved(self._history, snapshot.fingerprint(), self._clock())
        asked = self._asked(network)
        is_new = not self._history.streaks

        def is_enough(new: Mapping[str, Verdict]) -> bool:
            # On arrival the preferred one that works decides; later, what was asked is also to be remembered.
            return is_new and self._choice(network, after(self._history, new, self._clock())).ending is Ending.CHOSEN

        verdicts = await self._prober.verdicts(asked, is_enough)
        now = self._clock()
        self._history = after(self._history, verdicts, now)
        choice = self._choice(network, self._history)
        self._history = chose(self._history, choice.upstream)
        self._look = next_look(self._situation(network, self._history), choice, now)
        known = {name: verdict for name in network.use if (verdict := self._history.verdict(name)) is not None}
        return known, choice

    def restart_waits(self) -> str:
        if not self._may_restart:
            return "the agent is only just starting"
        now = self._clock()
        self._waits = rate.allowed_at(self._starts, self._history.changed, self._policy.docker.min_interval, now)
        return "" if self._waits.is_now(now) else self._waits.because

    def next_at(self, is_restart_due: bool) -> float | None:
        """When to look again without being woken; None: only when woken."""
        times = [self._look.at] if self._look is not None else []
        if is_restart_due and not self._waits.is_now(self._clock()):
            times.append(self._waits.at)
        return min(times, default=None)

    def _asked(self, network: Network) -> list[Upstream]:
        """Those that are due; all of the network if it was something else that woke us."""
        now, look = self._clock(), self._look
        names: Collection[str] = network.use
        if look is not None and now >= look.at and self._history.streaks:
            names = [name for name in network.use if name in {*look.probe, *look.connect}]
        return [self._policy.upstreams[name] for name in names or network.use]

    def _choice(self, network: Network, history: History) -> Choice:
        return choose_on(self._situation(network, history), self._clock())

    def _situation(self, network: Network, history: History) -> Situation:
        on_loopback = frozenset(filter(self._is_on_loopback, self._policy.upstreams))
        standing = Standing(quarantined=self._quarantined, on_loopback=on_loopback)
        return Situation(self._policy, network, history, standing)

    def _is_on_loopback(self, name: str) -> bool:
        upstream = self._policy.upstreams[name]
        urls = [url for url in (upstream.http, upstream.https) if url is not None]
        return bool(urls) and all(is_loopback(url) for url in urls)

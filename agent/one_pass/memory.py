"""What the agent remembers of this network, and how it chooses with it. Memory only ever delays a choice or a restart.

The rules are pure and are in `decide/`; here they get the clock, the probes, and what a person has set
(`overrides.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.decide import rate
from agent.decide.choose import BELIEVED_S, Choice, Ending, Situation, choose_on, patience_left, within_pin
from agent.decide.desired import by_upstream
from agent.decide.history import History, after, chose, moved, resumed, without
from agent.decide.next_look import NextLook, next_look
from agent.decide.place import Whereabouts, place_of
from agent.decide.plan import Holding
from agent.decide.rate import Asked
from agent.decide.restart import InFlight
from agent.decide.standing import Standing
from agent.decide.unsteady import STEADY
from agent.docker.quarantine import Quarantine
from agent.one_pass.overrides import Overrides
from agent.one_pass.past_restarts import PastRestarts
from agent.one_pass.ports import Prober
from agent.one_pass.refused_passwords import REFUSED, RefusedPasswords
from agent.one_pass.relay_file import RelayFile
from agent.one_pass.seen import Verdicts
from agent.one_pass.shaken_file import KeptShaken, ShakenFile
from agent.system.clock import SYSTEM_CLOCK, time_of_day
from agent.values.condition import Code, Condition
from agent.values.dockerd import Cause, Reality
from agent.values.listening import LocalProxy, loopback_addresses
from agent.values.policy import Network, Policy, RegistryUrl, Upstream
from agent.values.settings import ProxyUrl
from agent.values.snapshot import Snapshot
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import Outcome, Verdict

_NO_OTHERS: Final[Mapping[str, Verdict]] = {}
_JUST_AFTER_S: Final = 0.01  # the loop's clock is not the one that patience is measured by
DEFERRED_S: Final = 10.0  # how soon we notice that a deferred restart may go on


class _InForce(msgspec.Struct, frozen=True):
    """The last verdict of the upstream that dockerd uses, if this network does not list it."""

    upstream: Upstream
    fingerprint: str
    verdict: Verdict
    at: float
    is_believed: bool  # a single failed probe is not


class _Looked(msgspec.Struct, frozen=True):
    """Where a pass was when it had looked, and so what it acts for."""

    at: float
    changed: float  # when the host had come to that network
    has_moved: bool


class _Nobody:
    """Stands in for the prober until there is a policy: there are no upstreams to probe."""

    is_password_out = False

    async def verdicts(self, _: Sequence[Upstream], __: Callable[[Verdicts], bool]) -> Verdicts:
        return {}

    async def verdict_by(self, _: Sequence[RegistryUrl], __: Upstream) -> Verdict:
        return Verdict(Outcome.ERROR, "nobody can ask yet")

    @property
    def vantage(self) -> Vantage:
        return HOST

    async def silence(self, _: Upstream) -> str:
        return ""

    async def beside(self, _: Upstream) -> tuple[Condition, ...]:
        return ()

    def take_heard(self) -> Verdicts:
        return {}

    def loopback(self, host: str) -> tuple[str, ...]:
        return loopback_addresses(host)


_NOBODY: Final = _Nobody()


class Memory:
    """The history of one agent, across its policies."""

    def __init__(self, state: Path, *, remembers: bool = True) -> None:
        """`remembers`: whether anything is kept on disk; False for a command that changes nothing."""
        self.state = state
        self.overrides = Overrides(state)
        self.past_restarts = PastRestarts()
        self._remembers = remembers
        self._history = History()
        self._docker_started: float | None = None  # when it was last seen to start; None: not yet
        self._shaken = STEADY
        self._has_moved = False  # starting in a network is not a change of network
        self._looked: _Looked | None = None  # by the last pass
        self._shaken_file = ShakenFile(state)
        self._waits = rate.Allowed(0.0, "")
        self._look: NextLook | None = None
        self._policy = self._written = Policy()  # with what its PACs say, and as it is written
        self._prober: Prober = _NOBODY
        self._refused = RefusedPasswords(state)
        self._quarantine = Quarantine(state)
        self._relay_file = RelayFile(state)
        self._in_force: _InForce | None = None
        self._in_flight = InFlight()
        self.is_held = False  # unfinished work comes first
        self._asks_all = True
        self._vantage = HOST  # where dockerd stood when they were asked
        self._is_waiting = False  # for a choice, since the last look
        self.is_starting = False  # before READY, we and a restart of Docker would wait for each other
        self.asked = Asked.AGENT  # who wants this pass

    # What happened.

    def use(self, policy: Policy, prober: Prober) -> None:
        """Take another policy. What is known of upstreams that it changes is forgotten."""
        before = self._written.upstreams
        changed = {name for name in before if before[name] != policy.upstreams.get(name)}
        changed |= {name for name, one in self._policy.upstreams.items() if one.named_by in changed}
        self._history = without(self._history, changed)
        is_another = self._prober is not _NOBODY and policy != self._written
        self._policy, self._written, self._prober = policy, policy, prober
        if is_another:  # last: it may fail on a full disk, and the new policy must be in place by then
            self.past_restarts.forget_otherwise()
            self._refused.forget()
            self._relay_file.forget()

    def know(self, policy: Policy) -> None:
        """The policy with what its PACs say here. What is known of upstreams that are others by now is forgotten."""
        now, before = policy.upstreams, self._policy.upstreams
        if policy is not self._policy:
            self._history = without(self._history, {name for name in before if before[name] != now.get(name)})
            self._policy = policy

    @property
    def pinned(self) -> str | None:
        pin, _ = self.overrides.standing()
        is_over = pin is None or pin.is_over(SYSTEM_CLOCK.boottime_s())
        return None if pin is None or is_over else pin.upstream

    def take_up(self) -> None:
        """Take over what the last agent process knew. Only the service does; a command behaves as after a change."""
        kept = self._shaken_file.load()
        self._shaken, self._has_moved = kept.shaken, kept.fingerprint is not None
        self._history = msgspec.structs.replace(self._history, fingerprint=kept.fingerprint, changed=kept.changed)

    def note_resumed(self) -> None:
        """The host booted or resumed."""
        self._history = resumed(self._history, SYSTEM_CLOCK.boottime_s())
        self._asks_all = True

    def ask_anew(self) -> None:
        """Probe every upstream in the next pass, whatever is known: a person asked."""
        self._asks_all = True
        self._in_force = None

    def forgive(self) -> None:
        """Forget quarantines, refused passwords, failed restarts and a failed relay: everything may be tried again."""
        self._quarantine.forget()
        self._refused.forget()
        self._relay_file.forget()
        self.past_restarts.forget()

    def note_offline(self) -> None:
        self._history = moved(self._history, None, SYSTEM_CLOCK.boottime_s())
        self._look = None

    def note_looked(self) -> None:
        """A pass has looked. A move that the relay is led through while the pass acts is not what the pass acts for."""
        self._looked = self._here

    def note_docker_started(self, cause: Cause) -> None:
        here = self._here
        there = self._looked or here
        has_left = there.changed != here.changed
        there = there if has_left else here
        is_ours = cause is Cause.AGENT and self.asked is Asked.AGENT
        if is_ours and there.has_moved and rate.is_by_change(self._docker_started, self._shaken, there.changed):
            shaken = self._shaken.restarted(there.changed, there.at)
            self._shaken = shaken.left(there.changed, here.changed) if has_left else shaken
            self._keep_shaken()
        self._docker_started = there.at

    @property
    def _here(self) -> _Looked:
        return _Looked(SYSTEM_CLOCK.boottime_s(), self._history.changed, self._has_moved)

    def _come_to(self, fingerprint: str, place: Whereabouts | None) -> None:
        now, before = SYSTEM_CLOCK.boottime_s(), self._history
        self._history = moved(before, fingerprint, now, place)
        if self._history.stirred != before.stirred:
            self._asks_all = True  # the kept verdicts are from before
        if before.fingerprint is None or self._history.changed == before.changed:
            return
        self._has_moved = True
        was_unsteady = bool(self._shaken.waits)
        self._shaken = self._shaken.left(before.changed, now)
        if was_unsteady:  # otherwise each move would cost a write
            self._keep_shaken()

    def _keep_shaken(self) -> None:
        if self._remembers:
            self._shaken_file.save(KeptShaken(self._history.fingerprint, self._history.changed, self._shaken))

    @property
    def is_paused(self) -> bool:
        """Whether writing and restarting are forbidden now."""
        return self.is_held or self.is_pause_laid_down

    @property
    def is_pause_laid_down(self) -> bool:
        return self.overrides.is_paused

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Pins, pauses and quarantines, and whether the network is unsteady."""
        return tuple(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        now = SYSTEM_CLOCK.boottime_s()
        yield from self.overrides.conditions(self._policy.upstreams, self._verdict_on)
        if self._steady_at is not None:
            yield Condition(Code.UNSTEADY, self._shaken.condition)
        for name, until in self._quarantined().items():
            if now < until:
                text = f"Docker did not run with the settings of {name}: it is skipped for {_minutes(until - now)}"
                yield Condition(Code.QUARANTINED, text, "To try it again at once: docker-proxy-agent reload")

    def _verdict_on(self, name: str) -> Verdict | None:
        """On a PAC: that on what of it is used."""
        upstream = self._policy.upstreams.get(name)
        of_it = upstream.candidates if upstream is not None else ()
        found = [verdict for one in of_it if (verdict := self._history.verdict(one)) is not None]
        return next((verdict for verdict in found if verdict.is_ok), found[0] if found else self._history.verdict(name))

    # Choosing.

    def is_patient(self, snapshot: Snapshot) -> bool:
        history = self._history
        is_known = history.is_online and history.fingerprint == snapshot.fingerprint()
        return not is_known or patience_left(history, SYSTEM_CLOCK.boottime_s()) > 0

    async def choose(self, network: Network, snapshot: Snapshot, in_docker: str | None) -> tuple[Verdicts, Choice]:
        fingerprint = snapshot.fingerprint()
        if self._prober.vantage != self._vantage:
            self._vantage = self._prober.vantage
            self._asks_all = True  # what dockerd did not reach, it may reach from there
        self._come_to(fingerprint, place_of(network, snapshot))
        network = within_pin(network, self._policy, self._standing(in_docker), SYSTEM_CLOCK.boottime_s())
        situation = self._situation(network, in_docker)
        asked, connects = self._due(network, situation.standing)
        late = self._prober.take_heard()  # perhaps of what a PAC named in the network before, and names no more
        heard = {name: verdict for name, verdict in late.items() if name in self._policy.upstreams}
        self._heed_all(heard, snapshot)
        known = {name: REFUSED for name in asked if self._refused.has(self._policy.upstreams[name], snapshot)}
        known |= {name: verdict for name in connects if (verdict := await self._try_connect(name)) is not None}
        known |= heard
        probed = [name for name in dict.fromkeys((*asked, *connects)) if name not in known]

        def decides(new: Mapping[str, Verdict]) -> bool:
            now = SYSTEM_CLOCK.boottime_s()
            so_far = self._by_now(situation, after(self._history, {**known, **new}, now))
            return choose_on(so_far, now).ending is Ending.CHOSEN

        verdicts = await self._probe(probed, decides, snapshot)
        return self._conclude(network, situation, {**known, **verdicts})

    @property
    def next_choice_s(self) -> float | None:
        return None if self._look is None else max(_JUST_AFTER_S, self._look.at - SYSTEM_CLOCK.boottime_s())

    async def _probe(
        self, names: Sequence[str], decides: Callable[[Mapping[str, Verdict]], bool], snapshot: Snapshot
    ) -> Verdicts:
        """On arrival, stop as soon as the verdicts decide. Later, wait for all of them: they are remembered.

        A refused password is remembered at once: the look may be cut short before the others have answered.
        """
        is_arriving = self._is_waiting or not self._history.streaks or not self._history.looks
        came: dict[str, Verdict] = {}

        def is_enough(new: Mapping[str, Verdict]) -> bool:
            came.update(new)
            self._heed_all(new, snapshot)
            return is_arriving and decides(came)

        probing = asyncio.ensure_future(
            self._prober.verdicts([self._policy.upstreams[name] for name in names], is_enough)
        )
        try:
            left_s = patience_left(self._history, SYSTEM_CLOCK.boottime_s())
            if is_arriving and left_s > 0:
                # An upstream that does not answer gets no more time than one that failed.
                await asyncio.wait([probing], timeout=left_s + _JUST_AFTER_S)
                if not probing.done() and decides(came):
                    return came
            return await probing
        finally:
            probing.cancel()
            await asyncio.wait([probing])

    def _conclude(
        self, network: Network, situation: Situation, verdicts: Mapping[str, Verdict]
    ) -> tuple[Verdicts, Choice]:
        now = SYSTEM_CLOCK.boottime_s()
        if verdicts:
            self._history = after(self._history, verdicts, now)
        self._asks_all = False
        choice = choose_on(self._by_now(situation, self._history), now)
        self._is_waiting = choice.ending is Ending.WAITING
        self._history = chose(self._history, choice.upstream)
        self._look = next_look(self._by_now(situation, self._history), choice, now)
        names = dict.fromkeys((*network.use, *((choice.upstream,) if choice.upstream else ())))
        known = {name: verdict for name in names if (verdict := self._history.verdict(name)) is not None}
        return known, choice

    def _heed_all(self, verdicts: Mapping[str, Verdict], snapshot: Snapshot) -> None:
        for name, verdict in verdicts.items():
            self._heed(self._policy.upstreams[name], verdict, snapshot, verdicts)

    def _heed(
        self, upstream: Upstream, verdict: Verdict, snapshot: Snapshot, others: Mapping[str, Verdict] = _NO_OTHERS
    ) -> None:
        """Remember a refused password: it must not be sent again."""
        if not self._remembers:
            return
        if verdict.outcome is Outcome.PROXY_AUTH:
            self._refused.add(upstream, snapshot, is_of_pac=not self._is_taken_beside(upstream, others))
        elif verdict.is_ok and upstream.named_by:
            self._refused.note_taken(upstream, snapshot)

    def _is_taken_beside(self, upstream: Upstream, others: Mapping[str, Verdict]) -> bool:
        """Whether another proxy of its PAC takes the password."""
        siblings = (one for one in self._policy.upstreams.values() if one.named_by == upstream.named_by)
        names = (one.name for one in siblings if one.credentials is not None and one.name != upstream.name)
        return any(
            (found := others.get(one) or self._history.verdict(one)) is not None and found.is_ok for one in names
        )

    async def _try_connect(self, name: str) -> Verdict | None:
        """`refused` if the app on this host does not listen yet; None if it does and can be probed."""
        silence = await self._prober.silence(self._policy.upstreams[name])
        return Verdict(Outcome.REFUSED, silence) if silence else None

    def _due(self, network: Network, standing: Standing) -> tuple[list[str], list[str]]:
        """Upstreams to probe, and those where a bare connect is enough. Noise on the network is no reason to probe."""
        now, look = SYSTEM_CLOCK.boottime_s(), self._look
        pinned = standing.pinned(self._policy.upstreams, now)
        names = [*network.use, *(() if pinned is None or pinned in network.use else (pinned,))]
        if self._asks_all or not self._history.streaks:
            return names, []
        chosen = self._history.chosen
        if chosen is not None and standing.is_quarantined(chosen, now):  # its replacement is needed now
            chosen = None
        until = names.index(chosen) + 1 if chosen in names else len(names)
        unknown = [name for name in names[:until] if self._history.verdict(name) is None]
        is_due = look is not None and now >= look.at
        probe = [name for name in names if name in unknown or (is_due and look is not None and name in look.probe)]
        connect = [name for name in names if is_due and look is not None and name in look.connect]
        return probe, [name for name in connect if name not in probe]

    def _situation(self, network: Network, in_docker: str | None) -> Situation:
        return Situation(self._policy, network, self._history, self._standing(in_docker))

    def _by_now(self, situation: Situation, history: History) -> Situation:
        """The same after a probe. It looks names up, so only now we know which upstreams are apps on this host."""
        standing = self._standing(situation.standing.in_docker)
        return msgspec.structs.replace(situation, history=history, standing=standing)

    def _standing(self, in_docker: str | None = None) -> Standing:
        pin, pause = self.overrides.standing()
        return Standing(
            pin=pin,
            pause=pause,
            quarantined=self._quarantined(),
            on_loopback=frozenset(filter(self._is_on_loopback, self._policy.upstreams)),
            in_docker=in_docker,
        )

    def _quarantined(self) -> dict[str, float]:
        """By upstream: until when it is in quarantine."""
        return self._quarantine.until(by_upstream(self._policy, self._prober.vantage))

    def _is_on_loopback(self, name: str) -> bool:
        upstream = self._policy.upstreams[name]
        return bool(upstream.urls) and all(map(self._loopback, upstream.urls))

    def _loopback(self, url: ProxyUrl) -> tuple[str, ...]:
        return self._prober.loopback(url.host)

    def on_this_host(self, name: str) -> frozenset[LocalProxy]:
        """Where an upstream listens on this host; nowhere if it does not."""
        upstream = self._policy.upstreams.get(name)
        if upstream is None or not self._is_on_loopback(name):
            return frozenset()
        return frozenset(LocalProxy(self._held_by(url), url.port, upstream.owner) for url in upstream.urls)

    def _held_by(self, url: ProxyUrl) -> str:
        """The host to connect to: the address, where there is exactly one, to save a look-up."""
        addresses = self._loopback(url)
        return addresses[0] if len(addresses) == 1 else url.host

    # When to act and when to look.

    def holding(self, reality: Reality) -> Holding:
        now = SYSTEM_CLOCK.boottime_s()
        self._in_flight = self._in_flight.seen(reality.transfer, now)
        return Holding(
            self.restart_waits(),
            not_taken=self.past_restarts.not_taken(reality),
            believes_transfer=self._in_flight.is_believed(now),
            foreign=self.past_restarts.foreign(reality),
            came_up_otherwise=self.past_restarts.otherwise(reality),
        )

    async def works(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        """Probe it, unless a recent verdict is known. A refused password is not sent again."""
        now, fingerprint = SYSTEM_CLOCK.boottime_s(), snapshot.fingerprint()
        fresh_s = max(self._policy.probe.recheck, BELIEVED_S)
        streak = self._history.streaks.get(upstream.name)
        if streak is not None and upstream == self._policy.upstreams.get(upstream.name) and now - streak.seen < fresh_s:
            return streak.verdict
        known = self._in_force
        if known is not None and (known.upstream, known.fingerprint) != (upstream, fingerprint):
            known = None
        if known is not None and known.is_believed and now - known.at < fresh_s:
            return known.verdict
        verdict = await self.works_now(upstream, snapshot)
        is_believed = verdict.is_ok or known is not None
        self._in_force = _InForce(upstream, fingerprint, verdict, now, is_believed=is_believed)
        return verdict

    async def works_now(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        """A refused password is not sent again here, either."""
        if self._refused.has(upstream, snapshot):
            return REFUSED
        verdict = (await self._prober.verdicts([upstream], lambda _: False))[upstream.name]
        self._heed(upstream, verdict, snapshot)
        return verdict

    def refused(self, snapshot: Snapshot) -> Verdicts:
        all_of_them = self._policy.upstreams.items()
        return {name: REFUSED for name, upstream in all_of_them if self._refused.has(upstream, snapshot)}

    def restart_waits(self) -> str:
        """Why a restart has to wait; '' if it may happen now."""
        now = SYSTEM_CLOCK.boottime_s()
        interval = self._policy.docker.min_interval
        changed = self._history.changed
        self._waits = rate.allowed_at(
            self._docker_started, changed, interval, now, asked=self.asked, shaken=self._shaken
        )
        return "" if self._waits.is_now(now) else self._waits.waits(time_of_day(self._waits.at))

    def next_at(self, *, is_restart_due: bool) -> float | None:
        """When to look again without being woken; None: only when woken."""
        times = [self._look.at] if self._look is not None else []
        if is_restart_due:
            now = SYSTEM_CLOCK.boottime_s()
            times.append(now + DEFERRED_S if self._waits.is_now(now) else self._waits.at)
        if (steady := self._steady_at) is not None:  # to say that it is steady again
            times.append(steady)
        return min(times, default=None)

    @property
    def _steady_at(self) -> float | None:
        return self._shaken.steady_at(self._history.changed, SYSTEM_CLOCK.boottime_s())

    def now(self) -> float:
        return SYSTEM_CLOCK.boottime_s()


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min"

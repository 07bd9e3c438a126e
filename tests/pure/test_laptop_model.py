"""A laptop that roams, as a model: whatever happened, it ends at the right upstream, with no restart too many.

The rules are the real ones; the driver around them is the smallest that can carry them out. `HISTORIES=100000` tries
more than the usual number.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agent.decide.choose import Choice, Ending, Situation, choose_on
from agent.decide.desired import for_dockerd
from agent.decide.drift import Drifts, drifted
from agent.decide.history import History, after, chose, moved, resumed, without
from agent.decide.next_look import NextLook, next_look
from agent.decide.place import place_of
from agent.decide.rate import allowed_at, is_by_change
from agent.decide.recognise import recognise
from agent.decide.standing import Pause, Pin, Standing
from agent.decide.unsteady import STEADY
from agent.see.ways import Ways
from agent.values.policy import (
    DIRECT,
    Duration,
    Exclusion,
    Network,
    NoProxy,
    Pattern,
    Policy,
    Probing,
    Unreachable,
)
from agent.values.policy import Match as Where
from agent.values.settings import Settings
from agent.values.snapshot import Interface, Snapshot, Way
from agent.values.verdict import Outcome, Verdict
from tests.share import fewer
from tests.upstreams import upstream, url

from .users_of_the_model import GIVES_NO_ANSWER_S, HELD_S, Manner, Users

HISTORIES: Final = int(os.environ.get("HISTORIES", fewer(800, at_least=200)))
SETTLED_S: Final = 180.0  # a recheck, the failures, failback and the turn of a restart, one after the other
MINUTE_S: Final = 60.0
AGAIN_AT_MOST_S: Final = 300.0  # a home that gave no answer is asked again, whatever it has done before
ROUNDING_S: Final = 1e-6
STANDS_S: Final = (10.0, 20.0, 40.0)  # an unsteady network, before the next restart, the one after that, and all others
NAMES: Final = ("local", "office", "backup", "direct")
PLACES: Final = ("office", "home", "cafe")
MIN_INTERVAL_S: Final = 30.0

# Spellings of the same exclusions, and others: the number says what it means.
EXCLUSIONS: Final = (
    (1, ("localhost", "10.0.0.0/8")),
    (1, ("10.0.0.0/8", "localhost", "localhost")),
    (1, ("LOCALHOST", "10.1.2.3/8")),
    (2, ("localhost", "10.0.0.0/8", ".corp.example")),
)
USES: Final = (
    ("local", "office", "direct"),
    ("office", "backup", "direct"),
    ("backup", "office"),
    ("direct",),
)


UPSTREAMS: Final = {
    "local": upstream("http://127.0.0.1:7890", "local"),
    "office": upstream("http://10.10.0.2:3128"),
    "backup": upstream("http://10.10.0.3:3128", "backup"),
    "direct": DIRECT,
}


class Meaning(msgspec.Struct, frozen=True):
    """What settings mean, told apart without the product's own comparison."""

    upstream: str
    exclusions: int


class At(NamedTuple):
    """Where upstreams may do otherwise than elsewhere."""

    place: str | None  # None: offline
    by_vpn: bool  # of routes and nothing else: all but the way to the office's proxy is as it was


class Written(msgspec.Struct, frozen=True):
    """Settings in a file or in dockerd, and what they mean."""

    meaning: Meaning
    settings: Settings


FOREIGN: Final = tuple(
    Written(Meaning(text, 9), Settings(http=url(text), https=url(text), no_proxy=("localhost",)))
    for text in ("http://198.51.100.1:8080", "http://198.51.100.2:8080")
)


def policy_of(use: tuple[str, ...], exclusions: tuple[str, ...], unreachable: Unreachable, recheck_s: float) -> Policy:
    others = tuple(name for name in ("backup", "direct") if name not in use) or ("direct",)
    return Policy(
        probe=Probing(recheck=Duration(recheck_s)),
        no_proxy=NoProxy(always=tuple(Exclusion.parse(text) for text in exclusions)),
        upstreams=UPSTREAMS,
        networks=(
            Network("home", ("direct",), Where(ssid=(Pattern("home"),))),
            Network("office", use, Where(ssid=(Pattern("office"),)), unreachable),
            Network("cafe", others, Where(ssid=(Pattern("cafe"),))),
        ),
    )


def seen_at(place: str, address: str, *dns_servers: str) -> Snapshot:
    return Snapshot((Interface("wlan0", ssid=place, ipv4=(address,), gateways=("192.168.1.1",)),), dns_servers)


# By place: as it is, and with what may change there without a move.
SNAPSHOTS: Final[Mapping[str | None, tuple[Snapshot, ...]]] = {
    None: (Snapshot(),) * 3,
    **{
        place: (
            seen_at(place, "192.168.1.2/24", "192.168.1.1"),
            seen_at(place, "192.168.1.2/24"),
            seen_at(place, "192.168.1.9/24", "192.168.1.1"),
        )
        for place in PLACES
    },
}
BY_WIFI, BY_VPN = Way("wlan0", "192.168.1.1"), Way("wlan0", "192.168.1.1", table=52)
OFFICE_PROXY: Final = "10.10.0.2"
fingerprint_of: Final = functools.lru_cache(64)(Snapshot.fingerprint)
HOLES: Final = (Outcome.DNS, Outcome.NO_ROUTE, Outcome.TIMEOUT)
HOLE_S: Final = 30.0
OK: Final = Verdict(Outcome.OK)
HARD: Final = (Outcome.REFUSED, Outcome.PROXY_AUTH, Outcome.TLS)
SOFT: Final = (Outcome.TIMEOUT, Outcome.DNS, Outcome.PROXY_DOWN)


class Laptop(RuleBasedStateMachine):
    """The world, the driver, and what may never happen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.place: str | None = None
        self.details = 0  # which of the place's snapshots is seen
        self.has_vpn = False
        self.ways = Ways(lambda _: BY_VPN if self.has_vpn else BY_WIFI)
        self.world: dict[tuple[At, str], Verdict] = {}
        self.meaning = 1
        self.exclusions: tuple[str, ...] = EXCLUSIONS[0][1]
        self.wall = 1.8e9  # no rule is ever given it
        self.standing = Standing(on_loopback=frozenset({"local"}))
        self.history = History()
        self.choice: Choice | None = None
        self.look: NextLook | None = None
        self.drifts = Drifts()
        self.files: Written | None = None
        self.effective: Written | None = None
        self.deferred: float | None = None
        self.last_start: float | None = None
        self.shaken = STEADY
        self.all_starts: list[float] = []  # whoever made them
        # The restarts that a change of network brought, since one last stood for a minute.
        self.by_moves: list[float] = []
        self.entered = 0.0  # when the last change of network was seen
        self.last_online: tuple[At, int] | None = None
        self.stirred = -HOLE_S  # when addresses or DNS last changed under an upstream that had just worked
        self.in_use: str | None = None  # here
        self.last_ok: dict[str, float] = {}  # seen here
        self.last_failure: dict[str, float] = {}  # seen here
        self.first_failure: dict[str, float] = {}  # in a row, seen here
        self.is_free = True  # whether the next choice may differ for a reason of its own
        self.users: Users[Meaning] = Users(self.now)

    @initialize(use=st.sampled_from(USES), place=st.sampled_from(PLACES))
    def begin(self, use: tuple[str, ...], place: str) -> None:
        self.use, self.unreachable, self.recheck_s = use, Unreachable.KEEP, 60.0
        self.policy = policy_of(use, self.exclusions, self.unreachable, self.recheck_s)
        self.networks = self.recognised()
        self.place = place
        self.wake()

    # What happens.

    @rule(place=st.sampled_from((*PLACES, "office", None)))
    def roam(self, place: str | None) -> None:
        self.place = place
        self.wake()

    @rule(seconds=st.sampled_from((0.1, 1.0, 3.0, 7.0, 20.0, 45.0, 90.0)))
    def wait(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    @rule(
        place=st.sampled_from((0, 0, 1, 2)),
        outcome=st.sampled_from((*HARD, *SOFT, Outcome.PORTAL)),
        seconds=st.sampled_from((0.0, 1.5, 70.0)),
    )
    def upstream_dies(self, place: int, outcome: Outcome, seconds: float) -> None:
        self.world[self.at, self.of_use(place)] = Verdict(outcome)
        self.run_until(self.now + seconds)

    @rule(place=st.sampled_from((0, 0, 1, 2)), seconds=st.sampled_from((0.0, 10.0, 70.0)))
    def upstream_comes_back(self, place: int, seconds: float) -> None:
        self.world.pop((self.at, self.of_use(place)), None)
        self.run_until(self.now + seconds)

    @rule(
        details=st.sampled_from((0, 1, 2)),
        outcome=st.sampled_from((*HOLES, *HOLES, None, Outcome.REFUSED)),
        seconds=st.sampled_from((1.0, 20.0, 29.0, 40.0)),
    )
    def addresses_or_dns_change(self, details: int, outcome: Outcome | None, seconds: float) -> None:
        """In the same place; all that worked fails for a while, or nothing does."""
        works = [(self.at, name) for name in NAMES if outcome is not None and self.verdict(name).is_ok]
        self.world.update({key: Verdict(outcome) for key in works if outcome is not None})
        self.details = details
        self.wake()
        self.run_until(self.now + seconds)
        for key in works:
            del self.world[key]

    @rule(
        others=st.sampled_from((None, None, Outcome.TIMEOUT, Outcome.REFUSED, Outcome.NO_ROUTE)),
        seconds=st.sampled_from((0.0, 1.0, 10.0, 70.0)),
    )
    def vpn_of_routes_goes_up_or_down(self, others: Outcome | None, seconds: float) -> None:
        """It decides whether the office's proxy is reached, one way or the other."""
        self.has_vpn = not self.has_vpn
        if others is not None:
            self.world[self.at, "office"] = Verdict(others)
        self.wake()
        self.run_until(self.now + seconds)

    @rule(manner=st.sampled_from((*Manner, Manner.STOPPED)), seconds=st.sampled_from((0.0, 1.0, 30.0)))
    def a_user_becomes(self, manner: Manner, seconds: float) -> None:
        """Unkind: his helper gives no answer, or his file takes seconds; or kind again."""
        self.users.becomes(manner)
        self.run_until(self.now + seconds)

    @rule(outcome=st.sampled_from((*HARD, *SOFT, Outcome.PORTAL)))
    def everything_dies(self, outcome: Outcome) -> None:
        self.world.update({(self.at, name): Verdict(outcome) for name in NAMES})
        self.wake()

    @rule()
    def everything_works(self) -> None:
        self.world.clear()

    @rule(
        places=st.permutations((*PLACES, "office", None)),
        turns=st.integers(3, 12),
        period_s=st.sampled_from((3.0, 7.0, 12.0, 25.0)),
    )
    def flaps(self, places: list[str | None], turns: int, period_s: float) -> None:
        """A Wi-Fi that cannot decide between two of them, and does in the end."""
        began = self.now
        for turn in range(turns):
            self.place = places[turn % 2]
            self.wake()
            self.run_until(self.now + period_s)
        all_work = all(self.verdict(name).is_ok for name in NAMES)
        if self.place is not None and self.entered > began and all_work and self.nothing_ends_soon():
            self.run_until(max(self.now, self.entered + STANDS_S[-1] + HELD_S + ROUNDING_S))
            desired = self.desired()
            assert desired is None or self.effective == desired, "Docker is not right 40 s after the last change"

    def nothing_ends_soon(self) -> bool:
        """Nor holds anything back that a person laid down."""
        pin, soon = self.standing.pin, self.now + MINUTE_S
        ends = [*self.standing.quarantined.values(), *([pin.until] if pin is not None and pin.until else [])]
        is_held = self.standing.pause is not None or bool(self.drifts.given_up)
        return not is_held and not any(self.entered <= at <= soon for at in ends)

    @rule(wakes=st.integers(1, 5))
    def noise(self, wakes: int) -> None:
        for _ in range(wakes):
            self.wake()
            self.now += 0.05

    @rule(
        use=st.sampled_from(USES),
        unreachable=st.sampled_from(Unreachable),
        recheck_s=st.sampled_from((60.0, 60.0, 0.0)),
    )
    def policy_edited(self, use: tuple[str, ...], unreachable: Unreachable, recheck_s: float) -> None:
        self.use, self.unreachable, self.recheck_s = use, unreachable, recheck_s
        self.reload()

    @rule(spelling=st.sampled_from(EXCLUSIONS))
    def exclusions_edited(self, spelling: tuple[int, tuple[str, ...]]) -> None:
        self.meaning, self.exclusions = spelling
        self.reload()

    @rule(name=st.sampled_from(NAMES))
    def upstream_means_another_proxy(self, name: str) -> None:
        self.history = without(self.history, {name})
        for seen in (self.last_ok, self.last_failure, self.first_failure):
            seen.pop(name, None)
        self.in_use = None if self.in_use == name else self.in_use
        self.is_free = True
        self.wake()

    @rule(
        standing=st.one_of(
            st.builds(Pin, st.sampled_from(NAMES), st.sampled_from((None, 10.0, 600.0))),
            st.builds(Pause, st.sampled_from((5.0, 60.0))),
            st.sampled_from((None, *NAMES)),
        )
    )
    def pinned_paused_or_quarantined(self, standing: Pin | Pause | str | None) -> None:
        if isinstance(standing, Pin):
            self.stand(pin=Pin(standing.upstream, standing.until and self.now + standing.until))
        elif isinstance(standing, Pause):
            self.stand(pause=Pause(self.now + (standing.until or 0.0)))
        elif standing is None:
            self.stand(pin=None)
        else:
            self.stand(quarantined={**self.standing.quarantined, standing: self.now + 600})

    @precondition(lambda self: self.files is not None)
    @rule(written=st.sampled_from(FOREIGN))
    def foreign_edit(self, written: Written) -> None:
        self.files = written
        self.drifts, correction = drifted(self.drifts, "dockerd", self.now)
        assert correction.because
        self.wake()

    @precondition(lambda self: self.files is not None)
    @rule()
    def docker_restarted_by_others(self) -> None:
        self.effective = self.files
        self.last_start = self.now
        self.all_starts.append(self.now)
        self.wake()

    @rule(seconds=st.sampled_from((-86400.0, 86400.0)))
    def wall_clock_jumps(self, seconds: float) -> None:
        self.wall += seconds
        self.wake()

    @rule(seconds=st.sampled_from((5.0, 3600.0, 86400.0)), place=st.sampled_from((*PLACES, None)))
    def suspended(self, seconds: float, place: str | None) -> None:
        self.now += seconds
        self.place = place
        self.history = resumed(self.history, self.now)
        self.wake()

    def of_use(self, place: int) -> str:
        use = self.network().use
        return use[min(place, len(use) - 1)]

    # The driver.

    @property
    def at(self) -> At:
        return At(self.place, self.has_vpn)

    def verdict(self, name: str) -> Verdict:
        return self.world.get((self.at, name), OK)

    def stand(self, **changes: object) -> None:
        self.standing = msgspec.structs.replace(self.standing, **changes)
        self.is_free = True
        self.wake()

    def reload(self) -> None:
        self.policy = policy_of(self.use, self.exclusions, self.unreachable, self.recheck_s)
        self.networks = self.recognised()
        self.drifts = Drifts()
        self.is_free = True
        self.wake()

    def desired(self) -> Written | None:
        if self.choice is None or self.choice.upstream is None:
            return None
        name = self.choice.upstream
        meaning = Meaning(name, self.meaning if name != "direct" else 0)
        return Written(meaning, for_dockerd(self.policy.upstreams[name], self.policy.no_proxy))

    def recognised(self) -> dict[str | None, Network]:
        return {place: recognise(self.policy.networks, seen[0]).network for place, seen in SNAPSHOTS.items()}

    def network(self) -> Network:
        return self.networks[self.place]

    def wake(self) -> None:
        self.one_pass(self.network().use if self.place else ())

    def one_pass(self, probe: tuple[str, ...]) -> None:
        """See, probe, choose, write, restart: as the service does it."""
        was = self.history
        self.users.elapse(self.now)
        seen = self.ways.seen(SNAPSHOTS[self.place][self.details], [OFFICE_PROXY])
        fingerprint, place = fingerprint_of(seen), place_of(self.network(), seen)
        self.history = moved(was, fingerprint if self.place else None, self.now, place)
        if self.history.changed != was.changed:
            self.shaken = self.shaken.left(was.changed, self.now)
        if self.place is None:
            self.choice = self.look = self.deferred = None
            return
        if (self.at, self.details) != self.last_online:
            has_forgotten = self.history.streaks is not was.streaks
            assert self.arrive_or_stir() == has_forgotten, "a hole was taken for a move, or a move for a hole"
        pinned = self.standing.pinned(self.policy.upstreams, self.now)
        # What this network does not use is not asked, whatever a look says.
        asked = {name for name in (*probe, pinned) if name in {*self.network().use, pinned} and name is not None}
        self.history = after(self.history, {name: self.verdict(name) for name in asked}, self.now)
        for name in asked:
            if self.verdict(name).is_ok:
                self.last_ok[name] = self.now
                self.first_failure.pop(name, None)
            else:
                self.last_failure[name] = self.now
                self.first_failure.setdefault(name, self.now)
        in_docker = self.files.meaning.upstream if self.files else None
        self.standing = msgspec.structs.replace(self.standing, in_docker=in_docker)
        situation = Situation(self.policy, self.network(), self.history, self.standing)
        before, self.choice = self.in_use, choose_on(situation, self.now)
        assert self.choice.because
        self.history = chose(self.history, self.choice.upstream)
        self.judge(before, self.choice, situation.network)
        self.in_use = self.choice.upstream or self.in_use
        self.carry_out()
        self.write_for_clients()
        situation = msgspec.structs.replace(situation, history=self.history)
        self.look = next_look(situation, self.choice, self.now)

    def arrive_or_stir(self) -> bool:
        """Whether it is a move; judged by what was seen to work, and not by the history."""
        is_same = self.last_online is not None and self.last_online[0] == self.at
        self.last_online = self.at, self.details
        worked = None if self.in_use is None else self.last_ok.get(self.in_use)
        if is_same and worked is not None and self.now <= worked + MINUTE_S:
            self.stirred = self.now
            return False
        if self.now >= self.entered + MINUTE_S:
            self.by_moves.clear()
        self.entered, self.is_free, self.in_use, self.stirred = self.now, True, None, -HOLE_S
        for seen in (self.last_ok, self.last_failure, self.first_failure):
            seen.clear()
        return True

    def carry_out(self) -> None:
        self.deferred = None
        desired = self.desired()
        if desired is None or self.standing.is_paused(self.now) or "dockerd" in self.drifts.given_up:
            return
        self.files = desired
        if self.effective is not None and self.effective.settings == desired.settings:
            assert self.effective.meaning == desired.meaning, "different settings were taken for the same"
            return
        assert self.effective is None or self.effective.meaning != desired.meaning, "a cosmetic change restarts"
        allowed = allowed_at(self.last_start, self.history.changed, MIN_INTERVAL_S, self.now, shaken=self.shaken)
        assert allowed.because
        if not allowed.is_now(self.now):
            self.deferred = allowed.at
            return
        self.judge_restart()
        self.effective = desired
        if is_by_change(self.last_start, self.shaken, self.history.changed):
            self.shaken = self.shaken.restarted(self.history.changed, self.now)
        self.last_start = self.now
        self.all_starts.append(self.now)

    def write_for_clients(self) -> None:
        """Behind Docker's half; what that costs is time."""
        desired = self.desired()
        if desired is None or self.standing.is_paused(self.now):
            return
        self.now = self.users.written(desired.meaning, self.now)

    def run_until(self, end: float) -> None:
        """Time passes; nothing happens but what was asked for."""
        passes = 0
        while True:
            told = self.users.next_end()
            due = [at for at in (None if self.look is None else self.look.at, self.deferred, told) if at is not None]
            if not due or min(due) > end:
                break
            if told is not None and told <= min(due):
                self.now = max(self.now, told)
                self.users.elapse(self.now)
                self.one_pass(())
                continue
            look, is_look = self.look, self.look is not None and self.look.at <= min(due)
            self.now = max(self.now, min(due))
            if look is None or not is_look:
                self.one_pass(())
            elif look.connect and not look.probe and not any(self.answers(name) for name in look.connect):
                self.one_pass(look.connect)
            else:
                self.one_pass(self.network().use if look.connect else look.probe)
            passes += 1
            assert passes < 20 + 4 * SETTLED_S, f"it looks again and again: {self.look}"
        self.now = max(self.now, end)

    def answers(self, name: str) -> bool:
        return self.verdict(name).outcome is not Outcome.REFUSED

    # What may never happen.

    def judge(self, before: str | None, choice: Choice, network: Network) -> None:
        """Hysteresis, judged by what the world did and not by the history."""
        is_free, self.is_free = self.is_free, choice.ending is not Ending.CHOSEN or self.is_pin_or_quarantine()
        if is_free or before is None or choice.upstream in {None, before} or before not in network.use:
            return
        assert choice.upstream is not None
        if self.verdict(before).is_ok:
            assert choice.upstream in network.use[: network.use.index(before)], (
                "a working upstream was left for a worse"
            )
            failed = self.last_failure.get(choice.upstream)
            assert failed is None or self.now >= failed + self.policy.probe.failback, "failback was not respected"
        elif choice.upstream not in network.use[: network.use.index(before)]:
            assert self.now >= self.first_failure[before] + 2.0, "one failed probe was enough"
            is_hole = self.verdict(before).outcome in HOLES and self.now < self.stirred + HOLE_S
            assert not is_hole, "a hole in addresses or DNS was taken for a loss"

    def is_pin_or_quarantine(self) -> bool:
        return self.standing.pin is not None or bool(self.standing.quarantined)

    def judge_restart(self) -> None:
        last = max(self.all_starts, default=-MIN_INTERVAL_S)
        if self.entered <= last:
            assert self.now >= last + MIN_INTERVAL_S, "two restarts within one network and min_interval"
            return
        stood_s = self.now - self.entered
        if stood_s >= MINUTE_S:
            self.by_moves.clear()
        near = [later - earlier < MINUTE_S for earlier, later in itertools.pairwise(self.by_moves)]
        if any(near):
            since_unsteady = len(near) - near.index(True)
            needed_s = STANDS_S[min(since_unsteady, len(STANDS_S)) - 1]
            assert stood_s > needed_s - ROUNDING_S, f"an unsteady network had stood for {stood_s} s of {needed_s} s"
        self.by_moves.append(self.now)

    # What is true in the end.

    def teardown(self) -> None:
        try:
            if self.place is not None and hasattr(self, "policy"):
                self.ends_right()
        finally:
            self.users.close()

    def ends_right(self) -> None:
        if not self.recheck_s:
            self.wake()  # "0s": only events tell
        self.run_until(self.now + SETTLED_S)
        assert self.choice is not None
        expected = self.expected(self.network())

        assert self.choice.upstream == expected, f"{self.choice} instead of {expected}"
        if expected is not None and not self.standing.is_paused(self.now) and not self.drifts.given_up:
            assert self.files == self.effective == self.desired()
        self.clients_end_right()

    def clients_end_right(self) -> None:
        """Whoever was unkind is asked again in the end."""
        if not self.users.are_kind:
            self.users.becomes(Manner.KIND)
            self.run_until(self.now + AGAIN_AT_MOST_S + GIVES_NO_ANSWER_S)
            self.wake()
            self.run_until(self.now + 3 * HELD_S)
        desired = self.desired()
        if desired is not None and not self.standing.is_paused(self.now):
            assert self.users.all_have(desired.meaning), "a client has not what Docker has"

    def expected(self, network: Network) -> str | None:
        usable = [name for name in network.use if self.standing.quarantined.get(name, 0.0) <= self.now]
        pin = self.standing.pin
        if (
            pin
            and (pin.until is None or pin.until > self.now)
            and self.standing.quarantined.get(pin.upstream, 0.0) <= self.now
        ):
            return pin.upstream
        working = [name for name in usable if self.verdict(name).is_ok]
        if working:
            return working[0]
        is_portal = any(self.verdict(name).outcome is Outcome.PORTAL for name in network.use)
        is_direct = network.unreachable is Unreachable.DIRECT and not is_portal
        return "direct" if is_direct and self.standing.quarantined.get("direct", 0.0) <= self.now else None


# Shrinking a history of a day takes minutes: it is asked for with SHRINK=1.
PHASES: Final = tuple(phase for phase in Phase if phase is Phase.generate or os.environ.get("SHRINK"))

TestLaptop = pytest.mark.long(Laptop.TestCase)
TestLaptop.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=9,
    deadline=None,
    report_multiple_bugs=False,
    phases=PHASES,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

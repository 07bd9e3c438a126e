"""The relay as the service keeps it: told at once, probed, given to Docker, and taken back once and for all."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.audit.spans import Known, Lane
from agent.cli import main
from agent.cli.audit.at import at as what_was_so
from agent.cli.known_relay import is_relay_seen_to_work
from agent.clients.clients import ClientsSeen
from agent.clients.users import ThisSystem
from agent.decide.clients import Intent, Wanted
from agent.decide.relay import Chosen, as_upstream
from agent.decide.relay import Relayed as Seen
from agent.one_pass.drawing import picture_of
from agent.one_pass.look import look
from agent.one_pass.no_relay import AsIfItWorked
from agent.one_pass.page import seen_lines
from agent.one_pass.patiently import only_looking
from agent.one_pass.ports import Works
from agent.one_pass.relay import LocalRelay
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.relay_file import InternalFile, RelayFile, Way, WayFile
from agent.one_pass.relay_memory import RelayMemory
from agent.one_pass.relay_units import Anew
from agent.one_pass.seen import Pass, Planned
from agent.one_pass.sockets import LocalSockets
from agent.see.netlink_messages import Link
from agent.service.requests import Command
from agent.service.status_file import read_running
from agent.system.clock import SystemClock
from agent.system.inotify import Inotify
from agent.targets.container import carried
from agent.values.errors import AgentError, TargetFailed
from agent.values.listening import Backlog
from agent.values.paths import Paths
from agent.values.policy import Listen, Policy, Relay, Upstream
from agent.values.policy_text import parse
from agent.values.reason import Reason
from agent.values.relay import Carried, Orders, RefusedSource, RelayState, UpstreamFailed, orders_in, state_file
from agent.values.settings import DIRECT, settings
from agent.values.snapshot import Snapshot
from agent.values.vantage import Vantage
from agent.values.verdict import Verdict
from tests.waiting import until_awaited

from .dockerd import Dockerd
from .test_reconcile import OFFICE, POLICY, NoClients, Place, at
from .test_service import Hand, Laptop

RELAY = settings("http://127.0.0.1:3130", "http://127.0.0.1:3130", "localhost,127.0.0.0/8,::1")
WITH_RELAY = POLICY + '[relay]\nenable = true\n[docker]\nmin_interval = "0s"\n'
OFF = WITH_RELAY.replace("enable = true", "enable = false")
HOME = at("10.20.0.1")
LISTENS = ("127.0.0.1:3130", "[::1]:3130", "172.17.0.1:3130")


class Ups:
    """Where the relay was brought up; `fails`: why it cannot be."""

    def __init__(self) -> None:
        self.fails = ""
        self.ups: list[tuple[str, ...]] = []
        self.downs = 0
        self.anew: list[Anew] = []
        self.is_full = False  # the disk
        self.silent: set[str] = set()  # nobody listens there
        self.strangers: dict[str, str] = {}  # who listens there instead
        self.taken = ""  # by another program, while the relay is up elsewhere
        self.came_up: Callable[[], None] = lambda: None
        self.is_stopped, self.goes_on = asyncio.Event(), asyncio.Event()  # while it is brought up
        self.goes_on.set()
        self.goes_on_when: Callable[[], bool] = lambda: True
        self.heard_anew: set[str] = set()  # … until it is brought down and up
        self._where: tuple[str, ...] | None = None

    def where(self) -> tuple[str, ...] | None:
        return self._where

    def silent_at(self, where: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(set(where) & {*self.silent, self.taken})

    def strangers_at(self, where: Iterable[str]) -> Mapping[str, str]:
        return {end: who for end, who in self.strangers.items() if end in where}

    async def bring_up(
        self, where: tuple[str, ...], user_is_there: Callable[[], None], *, anew: Anew = Anew.NOTHING
    ) -> None:
        if self.is_full:
            raise TargetFailed("50-docker-proxy-agent.conf", "no space left")
        if self.taken in where:
            raise TargetFailed("docker-proxy-relay.socket", f"something else listens at {self.taken}")
        if self.fails:
            self.silent -= self.heard_anew if anew is Anew.ALL else set()
            raise AgentError("docker-proxy-relay.socket", self.fails)
        self.is_stopped.set()
        async with asyncio.timeout(20):
            await self.goes_on.wait()
        await until_awaited(20, self.goes_on_when, "the relay is brought up")
        user_is_there()
        self.silent -= self.heard_anew if anew is Anew.ALL else set()
        self.anew += [] if anew is Anew.NOTHING else [anew]
        self.ups.append(where)
        self._where = where
        self.came_up()

    async def bring_down(self) -> None:
        self.downs += 1
        self._where = None


class Later(SystemClock):
    """A clock that the test moves on."""

    ahead_s = 0.0
    _stands_at_s: float | None = None

    def stand_still(self) -> None:
        """However long a busy machine takes, only what the test adds passes."""
        self._stands_at_s = super().boottime_s()

    def boottime_s(self) -> float:
        now_s = super().boottime_s() if self._stands_at_s is None else self._stands_at_s
        return now_s + self.ahead_s


class Given(NoClients):
    """What clients would be given."""

    def __init__(self) -> None:
        self.given: list[Upstream | None] = []
        self.looked: Callable[[], object] = lambda: None

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        self.given.append(relay)
        self.looked()
        return ClientsSeen(Wanted(Intent.SET, ""))


class Relayed(Laptop):
    """A laptop with a relay, whose answers are those of the upstream `relay`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.units, self.clock, self.memory = Ups(), Later(), RelayMemory()
        self.bridge: str | None = "172.17.0.1"
        self.there: tuple[Link, ...] = ()  # bridges
        self.listed: dict[str, bool] | None = {}  # by Docker
        self.listed_now: Callable[[], dict[str, bool] | None] = lambda: self.listed
        self.answers = asyncio.Event()  # Docker, when it is asked for them
        self.answers.set()
        self.backlog: Backlog | None = None
        self.is_served = False  # when the relay is asked for what it answers by itself
        self.kind = LocalRelay
        self.layout = self.paths.layout
        self.clients = Given()
        self.place.clients = self.clients
        self.place.becomes(relay="ok")

    def world(self, paths: Paths, policy: Policy) -> Place:
        place = super().world(paths, policy)
        place.relay = self.kind(
            msgspec.structs.replace(self.paths, layout=self.layout),
            policy,
            prober=place,
            sockets=LocalSockets(ThisSystem(paths.root)),
            bridge=self.bridge_now,
            bridges=Bridges(self.bridges, lambda: self.there),
            memory=self.memory,
            units=self.units,
            clock=self.clock,
            backlog=lambda _address, _port: self.backlog,
            serves=self.serves,
        )
        return place

    async def bridge_now(self) -> str | None:
        return self.bridge

    async def serves(self, _address: str, _port: int, _within_s: float) -> bool:
        return self.is_served

    async def bridges(self) -> dict[str, bool] | None:
        async with asyncio.timeout(20):
            await self.answers.wait()
        return self.listed_now()

    @property
    def orders(self) -> Orders:
        return orders_in(self.paths.relay_orders.read_bytes(), "relay.json")

    def conditions(self) -> list[str]:
        return [one["code"] for one in self.status()["conditions"]]

    def restarted(self) -> None:
        """Another process of the agent begins."""
        self.memory, self.hand = RelayMemory(), Hand()


@pytest.fixture
def laptop(tmp_path: Path) -> Relayed:
    return Relayed(tmp_path)


def names(orders: Orders) -> list[str]:
    return [one.name for one in orders.upstreams]


async def test_docker_is_given_the_relay_once_it_works_and_never_restarted_again(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert laptop.dockerd.runs_with == RELAY
        starts = laptop.dockerd.starts
        assert names(laptop.orders) == ["office", "direct"]

        for moves in range(1, 11):
            laptop.place.snapshot = HOME
            await hand.wake()
            assert names(laptop.orders) == ["direct"]
            laptop.place.snapshot = at("10.10.0.1")
            await hand.wake()
            assert names(laptop.orders) == ["office", "direct"]
            assert laptop.orders.generation == 1 + 2 * moves

        assert laptop.dockerd.starts == starts
        assert laptop.status()["state"] == "steady"
        assert laptop.status()["docker"]["in_use"] == "office"
    assert laptop.units.ups == [LISTENS]
    before_ready, *given = laptop.clients.given
    assert before_ready is None  # nothing may be started then, so nothing is known of it yet
    assert {one == as_upstream(3130) for one in given} == {True}
    told = [event for event in laptop.events() if event.startswith("relay-")]
    assert told == ["relay-switched", "relay-enabled", *["relay-switched"] * 20]
    (enabled,) = laptop.facts("relay-enabled")
    assert tuple(enabled["listens"]) == LISTENS
    assert laptop.facts("relay-switched")[1] == {
        "upstream": "direct", "previous_upstream": "office", "network": "elsewhere", "others": [], "generation": 2,
    }  # fmt: skip


async def test_it_is_told_which_networks_lead_nowhere_also_while_docker_says_nothing(laptop: Relayed) -> None:
    laptop.there = (Link(5, "br-back", has_carrier=True, has_neighbours=True, kind="bridge"),)
    laptop.listed = {"br-back": True}
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await hand.wake()
        assert laptop.orders.internal == ("br-back",)

    laptop.restarted()
    laptop.listed = None
    async with laptop.running() as hand:
        laptop.place.snapshot = HOME
        await hand.wake()
        assert laptop.orders.internal == ("br-back",)

        laptop.there, laptop.listed = (), {}
        generation = laptop.orders.generation
        for _ in range(2):
            await hand.wake()
        told = laptop.orders
        assert (told.internal, told.generation) == ((), generation + 1)


async def test_it_is_told_of_a_new_network_when_somebody_waits_there(laptop: Relayed) -> None:
    docker0, back = bridge(3, "docker0"), bridge(5, "br-back")
    laptop.there, laptop.listed = (docker0,), {"docker0": False}
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await hand.wake()
        assert told_of(laptop.orders) == ("3 docker0",)

        laptop.there, laptop.listed = (docker0, back), {"docker0": False, "br-back": True}
        says(laptop, RelayState(laptop.orders.generation, untold=("5 br-back",)))
        asked = len(laptop.place.asked)
        await hand.wake(Reason.RELAY)
        assert told_of(laptop.orders) == ("3 docker0", "5 br-back")
        assert laptop.orders.internal == ("br-back",)
        assert len(laptop.place.asked) == asked  # no upstream

    laptop.restarted()
    laptop.listed = None
    async with laptop.running() as hand:
        laptop.place.snapshot = HOME
        await hand.wake()
        assert told_of(laptop.orders) == ("3 docker0", "5 br-back")


async def test_before_docker_has_said_anything_who_comes_by_a_bridge_waits(laptop: Relayed) -> None:
    docker0, back = bridge(3, "docker0"), bridge(5, "br-back")
    laptop.there, laptop.listed = (docker0, back), None  # as at boot: Docker starts after the agent
    laptop.policy(WITH_RELAY.replace("enable = true", 'enable = true\nlisten = ["loopback"]'))
    async with laptop.running():
        of_loopback = laptop.orders
    assert of_loopback.told is None

    laptop.restarted()
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert laptop.orders.told == ()

        laptop.listed = {"docker0": False, "br-back": True}
        says(laptop, RelayState(laptop.orders.generation, untold=("5 br-back",)))
        await hand.wake(Reason.RELAY)
        assert told_of(laptop.orders) == ("3 docker0", "5 br-back")
        assert laptop.orders.internal == ("br-back",)


async def test_it_is_told_of_a_new_network_also_where_nothing_is_chosen(laptop: Relayed) -> None:
    docker0, back = bridge(3, "docker0"), bridge(5, "br-back")
    laptop.there, laptop.listed = (docker0,), {"docker0": False}
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await hand.wake()
        before = laptop.orders
        laptop.place.becomes(office="refused", direct="portal")
        laptop.place.snapshot = HOME
        await hand.wake()
        assert laptop.status()["state"] == "waiting"
        assert laptop.orders == before

        laptop.there, laptop.listed = (docker0, back), {"docker0": False, "br-back": True}
        says(laptop, RelayState(before.generation, untold=("5 br-back",)))
        await hand.wake(Reason.RELAY)
        assert laptop.orders == msgspec.structs.replace(
            before, generation=before.generation + 1, internal=("br-back",), told=("3 docker0", "5 br-back")
        )


@pytest.mark.parametrize("how", ["offline", "paused"])
async def test_it_is_told_of_a_new_network_also_offline_and_while_paused(laptop: Relayed, how: str) -> None:
    docker0, back = bridge(3, "docker0"), bridge(5, "br-back")
    laptop.there, laptop.listed = (docker0,), {"docker0": False}
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await hand.wake()
        if how == "paused":
            await laptop.asks(Command.PAUSE)
        else:
            laptop.place.snapshot = Snapshot()
        await hand.wake()
        before = laptop.orders

        laptop.there, laptop.listed = (docker0, back), {"docker0": False, "br-back": True}
        says(laptop, RelayState(before.generation, untold=("5 br-back",)))
        await hand.wake(Reason.RELAY)
        assert laptop.orders == msgspec.structs.replace(
            before, generation=before.generation + 1, internal=("br-back",), told=("3 docker0", "5 br-back")
        )


class SlowToProbe(Place):
    """A probe takes as long as the relay is not told of a bridge."""

    told: Callable[[], tuple[str, ...]] = staticmethod(lambda: ("5 br-back",))

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        await until_awaited(20, lambda: "5 br-back" in self.told(), "the relay is told of br-back")
        return await super().verdicts(upstreams, is_enough)


async def test_it_is_told_of_a_new_network_while_upstreams_are_probed(laptop: Relayed) -> None:
    docker0, back = bridge(3, "docker0"), bridge(5, "br-back")
    slow = SlowToProbe(at("10.10.0.1"), laptop.dockerd, office="ok", direct="ok", relay="ok")
    slow.clients, laptop.place = laptop.clients, slow
    laptop.there, laptop.listed = (docker0,), {"docker0": False}
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await hand.wake()
        slow.told = lambda: told_of(laptop.orders)
        laptop.there, laptop.listed = (docker0, back), {"docker0": False, "br-back": True}
        slow.snapshot = HOME
        await hand.wake()
        assert names(laptop.orders) == ["direct"]


async def test_a_docker_that_hangs_keeps_no_switch_waiting(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.there, laptop.answers = (bridge(5, "br-back"),), asyncio.Event()
        laptop.place.snapshot = HOME
        passing = asyncio.create_task(hand.wake())
        await until_awaited(20, lambda: names(laptop.orders) == ["direct"], "the relay goes direct")
        laptop.answers.set()
        await passing


def told_of(orders: Orders) -> tuple[str, ...]:
    return orders.told or ()


def bridge(index: int, name: str) -> Link:
    return Link(index, name, has_carrier=True, has_neighbours=True, kind="bridge")


async def test_nothing_is_asked_of_networks_for_a_relay_that_no_container_reaches(laptop: Relayed) -> None:
    laptop.there = (Link(5, "br-back", has_carrier=True, has_neighbours=True, kind="bridge"),)
    laptop.listed = {"br-back": True}
    laptop.policy(WITH_RELAY.replace("enable = true", 'enable = true\nlisten = ["loopback"]'))
    async with laptop.running() as hand:
        await hand.wake()
        assert laptop.orders.internal == ()


class Slow(Place):
    """Notes at each look at the network what was already written."""

    paths = Paths()

    def __init__(self, snapshot: Snapshot, dockerd: Dockerd, **outcomes: str) -> None:
        super().__init__(snapshot, dockerd, **outcomes)
        self.told: list[tuple[bool, bool]] = []

    async def see(self) -> Snapshot:
        self.told.append((self.paths.relay_orders.exists(), bool(self.daemon.files())))
        return await super().see()


async def test_the_relay_is_told_before_the_network_has_stood_still(laptop: Relayed) -> None:
    slow = Slow(at("10.10.0.1"), laptop.dockerd, office="ok", direct="ok", relay="ok")
    slow.paths, laptop.place = laptop.paths, slow
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        pass

    assert slow.told[:2] == [(False, False), (True, False)]  # the look, and the one that finds that nothing moved


async def test_a_relay_that_breaks_is_taken_back_once_and_there_it_stays(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        starts = laptop.dockerd.starts
        laptop.place.becomes(relay="refused")
        for ahead_s, runs_with in ((61, RELAY), (63, RELAY), (66, OFFICE)):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
            assert laptop.dockerd.runs_with == runs_with
            assert "relay-failed" in laptop.conditions()

        laptop.place.becomes(relay="ok")
        for ahead_s in (200, 300, 400):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.starts == starts + 1
        assert laptop.clients.given[-1] is None
        assert names(laptop.orders) == ["office", "direct"]  # what still has its address goes on, if it can
    assert [one["because"] for one in laptop.facts("relay-failed")] == ["refused"]

    laptop.restarted()
    async with laptop.running() as hand:
        assert (laptop.dockerd.runs_with, laptop.dockerd.starts) == (OFFICE, starts + 1)
        assert "relay-failed" in laptop.conditions()

        await laptop.asks(Command.RELOAD)

        assert laptop.dockerd.runs_with == RELAY
        assert "relay-failed" not in laptop.conditions()


async def test_one_that_hangs_is_started_anew_before_docker_is(laptop: Relayed) -> None:
    """systemd's own watchdog would find it only after a minute."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        starts = laptop.dockerd.starts
        laptop.place.becomes(relay="timeout")
        for ahead_s in (61, 80):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
            assert laptop.units.anew == []

        laptop.units.came_up = lambda: laptop.place.becomes(relay="ok")
        laptop.clock.ahead_s = 100
        await hand.wake(Reason.TIMER)

        assert laptop.units.anew == [Anew.SERVICE]
        assert "relay-failed" not in laptop.conditions()
        assert (laptop.dockerd.runs_with, laptop.dockerd.starts) == (RELAY, starts)


async def test_nobody_brings_it_down_by_connecting_to_it_all_the_time(laptop: Relayed) -> None:
    """Any user of the host may: neither it nor Docker is started anew for that, and it is not given up."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        starts = laptop.dockerd.starts
        laptop.place.becomes(relay="timeout")
        laptop.backlog = Backlog(1, waiting=4097, most=4096)
        for ahead_s in range(61, 361, 20):
            says(laptop, RelayState(laptop.orders.generation, turned_away=ahead_s))
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
            assert "4097 connections waited" in " ".join(one["text"] for one in laptop.status()["conditions"])
        assert (laptop.units.anew, laptop.dockerd.runs_with, laptop.dockerd.starts) == ([], RELAY, starts)

        laptop.place.becomes(relay="ok")
        laptop.clock.ahead_s = 400
        await hand.wake(Reason.TIMER)
        assert "relay-failed" not in laptop.conditions()


async def test_nobody_hides_by_connecting_to_it_all_the_time_that_it_leads_nowhere(laptop: Relayed) -> None:
    """Root's connections are served before those of the crowd: if it answers by itself, the probe had its turn."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.place.becomes(relay="timeout")
        laptop.backlog, laptop.is_served = Backlog(1, waiting=4097, most=4096), True
        for ahead_s in (61, 80, 100, 120):
            says(laptop, RelayState(laptop.orders.generation, turned_away=ahead_s))
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)

        assert laptop.dockerd.runs_with == OFFICE
        assert "relay-failed" in laptop.conditions()


async def test_a_probe_that_was_lost_among_many_is_asked_again_before_it_counts(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.backlog, laptop.is_served = Backlog(1, waiting=4097, most=4096), True
        for ahead_s in (61, 122, 183, 244):
            laptop.place.becomes(relay="timeout ok")
            says(laptop, RelayState(laptop.orders.generation, turned_away=ahead_s))
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)

            assert "relay-failed" not in laptop.conditions()
        assert (laptop.units.anew, laptop.dockerd.runs_with) == ([], RELAY)


async def test_one_that_does_nothing_is_not_excused_by_those_who_wait_for_it(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.place.becomes(relay="timeout")
        laptop.backlog = Backlog(1, waiting=4097, most=4096)
        says(laptop, RelayState(laptop.orders.generation))
        for ahead_s in (61, 80, 100, 120):  # as it says something then, the first is excused
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)

        assert laptop.units.anew == [Anew.SERVICE]
        assert "relay-failed" in laptop.conditions()


async def test_another_policy_tries_it_again(laptop: Relayed) -> None:
    laptop.place.becomes(relay="refused")
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        for ahead_s in (3, 6, 9):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.runs_with == OFFICE  # as all the time
        assert "relay-failed" in laptop.conditions()

        laptop.place.becomes(relay="ok")
        laptop.policy(WITH_RELAY + '[probe]\nrecheck = "30s"\n')
        await hand.wake(Reason.FILES)

        assert laptop.dockerd.runs_with == RELAY


async def test_another_port_must_answer_before_docker_is_told_of_it(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert laptop.dockerd.runs_with == RELAY

        laptop.place.becomes(relay="refused")
        laptop.policy(WITH_RELAY.replace("enable = true", "enable = true\nport = 3140"))
        await hand.wake(Reason.FILES)

        assert "3140" not in str(laptop.dockerd.runs_with)
        laptop.place.becomes(relay="ok")
        laptop.clock.ahead_s = 3
        await hand.wake(Reason.TIMER)
        assert "3140" in str(laptop.dockerd.runs_with)


def test_what_is_given_up_is_one_port_and_where_it_listens(tmp_path: Path) -> None:
    file = RelayFile(tmp_path)
    assert file.save(Relay(port=3130), "it hangs")

    assert file.load(Relay(port=3130, max_connections=9)) == "it hangs"
    assert file.load(Relay(port=3140)) == file.load(Relay(listen=(Listen.LOOPBACK,))) == ""
    file.forget()
    assert file.load(Relay(port=3130)) == ""


def test_what_is_kept_for_a_boot_is_kept_also_where_a_file_was_damaged(tmp_path: Path) -> None:
    for name in ("relay-gave-up", "relay-way", "relay-internal"):
        (tmp_path / f"{name}.json").write_bytes(b"{")
    gave_up, way, internal = RelayFile(tmp_path), WayFile(tmp_path), InternalFile(tmp_path)
    gave_up.forget()

    assert all((gave_up.save(Relay(), "it hangs"), way.keep(Way("office", ("corp",))), internal.keep(("br-back",))))

    assert gave_up.load(Relay()) == "it hangs"
    assert way.load() == Way("office", ("corp",))
    assert internal.load() == ("br-back",)


async def test_a_relay_that_does_not_come_up_is_said_with_why(laptop: Relayed) -> None:
    laptop.units.fails = "failed (resources): something else may listen there"
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert laptop.dockerd.runs_with == OFFICE
        (said,) = [one for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]
        assert "something else may listen there" in said["text"]

        laptop.units.fails, laptop.clock.ahead_s = "", 3
        await hand.wake(Reason.TIMER)

        assert laptop.dockerd.runs_with == RELAY
        assert "relay-failed" not in laptop.conditions()


async def test_an_upstream_that_fails_as_well_says_nothing_of_the_relay(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.place.becomes(office="timeout", direct="timeout", relay="proxy-down")
        for ahead_s in range(61, 90, 3):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)

        assert laptop.dockerd.runs_with == RELAY
        assert "relay-failed" not in laptop.conditions()


async def test_a_pause_keeps_the_relay_where_it_is(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        laptop.place.snapshot = HOME
        await hand.wake()
        assert names(laptop.orders) == ["office", "direct"]

        await laptop.asks(Command.RESUME)

        assert names(laptop.orders) == ["direct"]


async def test_a_pause_tells_a_relay_nothing_that_docker_does_not_have(laptop: Relayed) -> None:
    laptop.policy(POLICY)
    async with laptop.running():
        await laptop.asks(Command.PAUSE)
        laptop.policy(WITH_RELAY)
        await laptop.hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == OFFICE
        assert not laptop.paths.relay_orders.exists()


async def test_what_is_behind_the_relay_is_said_again_where_the_log_is_lost_and_by_the_next_agent(
    laptop: Relayed,
) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.paths.audit_log.unlink()
        laptop.place.snapshot = HOME
        await hand.wake()  # which finds that it is gone
        await hand.wake()
        told = [event for event in laptop.events() if event.startswith("relay-")]
        assert told == ["relay-switched", "relay-switched", "relay-enabled"]
        assert laptop.facts("relay-switched")[-1]["upstream"] == "direct"
    laptop.restarted()
    async with laptop.running():
        assert laptop.facts("agent-started")[-1]["relay"] == "direct"
    laptop.policy(OFF)
    laptop.restarted()
    async with laptop.running():
        pass
    laptop.restarted()
    async with laptop.running():
        assert laptop.facts("agent-started")[-1]["relay"] is None


async def test_the_log_tells_from_when_to_when_docker_had_the_relay_and_through_which_upstream(laptop: Relayed) -> None:
    """What the test saw at each moment, by its own clock, is what `audit at` says of it."""
    seen: list[tuple[dt.datetime, str | None, Known | None]] = []

    def note(upstream: str | None, known: Known | None = Known.SEEN) -> None:
        seen.append((dt.datetime.now(dt.UTC), upstream, known if upstream else None))

    laptop.policy(WITH_RELAY)
    note(None)
    async with laptop.running() as hand:
        note("office")
        laptop.place.snapshot = HOME
        await hand.wake()
        note("direct")
    note("direct", Known.NO_AGENT)
    laptop.restarted()
    async with laptop.running() as hand:
        note("direct")
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        note("office")
        laptop.policy(OFF)
        for _ in range(2):
            await hand.wake(Reason.FILES)
        note(None)
        laptop.policy(WITH_RELAY)
        for _ in range(2):
            await hand.wake(Reason.FILES)
        note("office")
        laptop.place.becomes(relay="error")
        for _ in range(3):
            laptop.clock.ahead_s += 100
            await hand.wake(Reason.TIMER)
        note(None)
        assert laptop.facts("relay-failed")

    for moment, upstream, known in seen:
        spans = what_was_so(laptop.paths.audit_log, moment, agent_runs=False).of(Lane.RELAY)
        told = [(span.value, span.known) for span in spans]
        assert told == ([] if upstream is None else [(upstream, known)]), (moment, laptop.events())


@pytest.mark.parametrize("is_paused", [True, False])
async def test_a_pass_that_does_not_probe_it_sets_no_timer_for_it(laptop: Relayed, is_paused: bool) -> None:
    """Else the next pass would be due at once, and the one after that."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert laptop.place.relay.next_at is not None
        if is_paused:
            await laptop.asks(Command.PAUSE)
        else:
            laptop.place.snapshot = Snapshot()
        laptop.clock.ahead_s = 100

        await hand.wake(Reason.TIMER)

        assert laptop.place.relay.next_at is None


async def test_a_pin_is_the_only_way(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        await laptop.asks(Command.PIN, upstream="direct")

        assert names(laptop.orders) == ["direct"]
        assert laptop.dockerd.runs_with == RELAY


@pytest.mark.parametrize("outcome", ["portal", "refused"])
async def test_where_nothing_is_chosen_it_goes_on_as_it_was(laptop: Relayed, outcome: str) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        before = laptop.orders
        laptop.place.snapshot = HOME
        laptop.place.becomes(direct=outcome)
        await hand.wake()
        assert laptop.status()["upstream"]["name"] is None
        assert (laptop.orders, laptop.dockerd.runs_with) == (before, RELAY)

        laptop.place.snapshot = Snapshot()
        await hand.wake()

        assert (laptop.orders, laptop.dockerd.runs_with) == (before, RELAY)


def with_a_password(laptop: Relayed, more: str = "") -> None:
    """Of the office's proxy."""
    secret = laptop.paths.policy.parent / "office.password"
    laptop.paths.policy.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("s3cr3t")
    secret.chmod(0o600)
    named = f'username = "alice"\npassword_file = "/{secret.relative_to(laptop.paths.root)}"\n'
    laptop.policy(WITH_RELAY.replace("[[network]]", f"{named}\n[[network]]", 1) + more)


@pytest.mark.parametrize(("before", "has_it"), [("nothing", False), ("pin", True), ("pause", True)])
async def test_it_has_no_password_of_another_network_while_the_agent_still_chooses(
    laptop: Relayed, before: str, *, has_it: bool
) -> None:
    """In a portal that swallows what is asked, that takes seconds: and whoever runs the café's DNS may be the proxy."""
    with_a_password(laptop)
    seen: list[bool] = []
    async with laptop.running() as hand:
        if before == "pin":
            await laptop.asks(Command.PIN, upstream="office")
        if before == "pause":
            await laptop.asks(Command.PAUSE)
        laptop.place.snapshot = Snapshot()
        await hand.wake()
        # Offline it has none, either: on arrival it would be sent before the agent has looked.
        assert (b"s3cr3t" in laptop.paths.relay_orders.read_bytes()) == has_it

        laptop.place.snapshot = HOME
        laptop.place.will_ask = lambda: seen.append(b"s3cr3t" in laptop.paths.relay_orders.read_bytes())
        await hand.wake()

    assert {*seen} == {has_it}


async def test_it_has_the_password_back_before_the_agent_has_chosen_where_this_network_uses_it(laptop: Relayed) -> None:
    with_a_password(laptop)
    seen: list[bool] = []
    async with laptop.running() as hand:
        at_work, office = laptop.orders, laptop.place.snapshot
        laptop.place.snapshot = Snapshot()
        await hand.wake()
        assert b"s3cr3t" not in laptop.paths.relay_orders.read_bytes()
        assert names(laptop.orders) == names(at_work)

        laptop.place.snapshot = office
        laptop.place.becomes(office="portal")
        laptop.place.will_ask = lambda: seen.append(b"s3cr3t" in laptop.paths.relay_orders.read_bytes())
        await laptop.asks(Command.RELOAD)
        await hand.wake()

    assert seen[:1] == [True]


async def test_where_nothing_works_a_proxy_of_another_network_gets_no_password(laptop: Relayed) -> None:
    """Whoever runs the café's DNS could say that it is he; the upstream itself stays, as everything does there."""
    with_a_password(laptop)
    async with laptop.running() as hand:
        at_work = laptop.orders
        assert b"s3cr3t" in laptop.paths.relay_orders.read_bytes()

        laptop.place.snapshot = HOME
        laptop.place.becomes(direct="portal")
        await hand.wake()
        assert names(laptop.orders) == names(at_work)
        assert b"s3cr3t" not in laptop.paths.relay_orders.read_bytes()
        withheld = laptop.orders
        await hand.wake()
        assert laptop.orders == withheld

        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        assert names(laptop.orders) == names(at_work)
        assert b"s3cr3t" in laptop.paths.relay_orders.read_bytes()
        told = [one for one in laptop.events() if one == "relay-switched"]
        assert len(told) == 1


@pytest.mark.needs_root
async def test_a_full_disk_keeps_no_password_where_it_is_not_used_and_no_orders_that_fit(laptop: Relayed) -> None:
    folder = laptop.paths.relay_orders.parent
    folder.mkdir(parents=True, exist_ok=True)
    with_a_password(laptop)
    with a_disk(folder) as fill:
        async with laptop.running() as hand:
            at_work = laptop.orders
            fill()
            laptop.place.snapshot = HOME
            laptop.place.becomes(direct="portal")
            await hand.wake()
            assert names(laptop.orders) == names(at_work)
            assert b"s3cr3t" not in laptop.paths.relay_orders.read_bytes()

            laptop.place.snapshot = at("10.30.0.1")
            laptop.place.becomes(direct="ok")
            await hand.wake()
            assert names(laptop.orders) == ["direct"]

            laptop.place.snapshot = at("10.10.0.1")
            await hand.wake()
            assert laptop.orders.upstreams == at_work.upstreams


@contextlib.contextmanager
def a_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """A small one, and what fills it."""

    def fill() -> None:
        with contextlib.suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", folder], check=True, timeout=10)
    try:
        yield fill
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


async def test_where_nothing_works_a_refused_password_is_not_in_relay_json(laptop: Relayed) -> None:
    """Any container could have it sent until the account is locked."""
    with_a_password(laptop, "[probe]\nfailures = 1\n")
    async with laptop.running() as hand:
        at_work = laptop.orders
        for number, outcome in enumerate(("refused", "proxy-auth", "proxy-auth"), start=1):
            laptop.place.becomes(office=outcome, direct="dns", relay="error")
            generation = laptop.orders.generation
            says(
                laptop, RelayState(generation, failed=UpstreamFailed(number, "office", outcome, generation=generation))
            )
            await hand.wake(Reason.RELAY)
        assert (names(laptop.orders), laptop.status()["state"]) == (names(at_work), "waiting")
        assert b"s3cr3t" not in laptop.paths.relay_orders.read_bytes()

        laptop.place.becomes(office="ok")
        await laptop.asks(Command.RELOAD)
        assert b"s3cr3t" in laptop.paths.relay_orders.read_bytes()


async def test_relay_json_stays_when_the_agent_stops_and_the_next_one_goes_on_from_there(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        starts = laptop.dockerd.starts
    before = laptop.orders

    laptop.restarted()
    laptop.place.becomes(relay="refused ok")  # it was given already: one failure is nothing yet
    async with laptop.running():
        assert (laptop.orders, laptop.dockerd.starts) == (before, starts)

    laptop.restarted()
    laptop.place.snapshot = HOME
    async with laptop.running():
        assert laptop.orders.generation == before.generation + 1
        assert laptop.facts("relay-switched")[-1]["previous_upstream"] == "office"


async def test_clients_keep_what_they_have_until_the_relay_is_brought_up(laptop: Relayed) -> None:
    """Before READY nothing may be started: what is taken away then would be missing in what is made that second."""
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        pass
    laptop.restarted()
    laptop.units.silent = {LISTENS[2]}
    laptop.units.came_up = laptop.units.silent.clear
    looks: list[bool] = []
    laptop.clients.looked = lambda: looks.append(bool(laptop.units.silent))
    async with laptop.running():
        assert not laptop.units.silent
    assert looks
    assert not any(looks)


async def test_relay_json_is_seen_whole_as_soon_as_it_is_there(laptop: Relayed) -> None:
    """The relay, which looks at it at once, may not read an empty one of root's, and would say so."""
    laptop.policy(WITH_RELAY)
    folder = laptop.paths.relay_orders.parent
    folder.mkdir(parents=True)
    watch = Inotify()
    held = os.open(folder, os.O_RDONLY)
    watch.add(held, and_files=True)
    os.close(held)
    try:
        async with laptop.running():
            events = [event for event in watch.read() if event.name == b"relay.json"]
    finally:
        watch.close()
    assert len(events) == laptop.orders.generation == 1


async def test_switched_off_docker_comes_first_and_then_it_is_stopped(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    laptop.dockerd.carried_by = (carried(["http_proxy=http://172.17.0.1:3130"]),)
    async with laptop.running() as hand:
        laptop.policy(OFF)
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == OFFICE
        assert laptop.units.downs == 0
        assert "once that is off, it reaches nothing" in str(laptop.status()["conditions"])

        laptop.units.silent = {*LISTENS}
        await hand.wake()

        assert laptop.units.downs == 1
        assert [one["code"] for one in laptop.status()["conditions"]] == ["containers-cut-off"]

    laptop.restarted()
    async with laptop.running() as hand:
        await hand.wake()
        assert [one["code"] for one in laptop.status()["conditions"]] == ["containers-cut-off"]
        assert not laptop.paths.relay_orders.exists()  # it holds passwords

        laptop.units.strangers = {"172.17.0.1:3130": "alice"}
        await hand.wake()
        (said,) = laptop.status()["conditions"]
        assert "where a program of alice listens now: that gets what it sends until it is recreated" in said["text"]

        await hand.wake()
        assert laptop.facts("relay-disabled") == [{"because": "the policy does not enable it"}]


async def test_passwords_do_not_stay_where_an_earlier_agent_left_them(laptop: Relayed) -> None:
    """Also where nobody knows any more who ran the relay, as without systemd."""
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        pass
    laptop.restarted()
    laptop.units = Ups()
    laptop.policy(OFF)
    async with laptop.running() as hand:
        await hand.wake()

        assert laptop.dockerd.runs_with == OFFICE
        assert not laptop.paths.relay_orders.exists()
        assert laptop.units.downs == 0


async def test_switched_off_it_follows_the_laptop_for_as_long_as_docker_has_its_address(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.dockerd.containers = 1
        laptop.policy(
            WITH_RELAY.replace("enable = true", "enable = false").replace("[docker]", '[docker]\nrestart = "when-idle"')
        )
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == RELAY
        assert laptop.status()["docker"]["deferred"]

        laptop.place.snapshot = HOME
        await hand.wake()

        assert names(laptop.orders) == ["direct"]
        assert laptop.units.downs == 0
        shown = laptop.status()["relay"]
        assert (shown["state"], shown["in_use"], shown["upstream"]) == ("off", True, "direct")


WHEN_IDLE = POLICY + '[docker]\nmin_interval = "0s"\nrestart = "when-idle"\n'


ANOTHER_PORT_OR_NONE = pytest.mark.parametrize(
    ("table", "where"),
    [
        pytest.param("[relay]\nenable = true\nport = 3140", LISTENS, id="another-port"),
        pytest.param("[relay]\nenable = false", (), id="off"),
        pytest.param("", (), id="no-table"),
    ],
)


@ANOTHER_PORT_OR_NONE
async def test_docker_is_not_cut_off_from_the_port_of_an_earlier_policy(
    laptop: Relayed, table: str, where: tuple[str, ...]
) -> None:
    """Its restart waits for a container, maybe for days."""
    laptop.policy(f"{WHEN_IDLE}[relay]\nenable = true\nport = 3150")
    async with laptop.running() as hand:
        before = laptop.units.ups[-1]
        laptop.dockerd.containers = 1
        laptop.policy(WHEN_IDLE + table)
        for ahead_s in (10, 20):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.FILES)
            assert "3150" in str(laptop.dockerd.runs_with)
            assert laptop.units.downs == 0
            assert set(before) <= set(laptop.units.ups[-1])
            assert laptop.status()["docker"]["in_use"] == "office"

        laptop.place.snapshot = HOME
        await hand.wake()
        assert names(laptop.orders) == ["direct"]

        laptop.place.snapshot = at("10.10.0.1")
        laptop.dockerd.containers = 0
        for ahead_s in (30, 40):
            laptop.clock.ahead_s = ahead_s
            await hand.wake()
        assert "3150" not in str(laptop.dockerd.runs_with)
        assert laptop.units.where() == (tuple(one.replace("3130", "3140") for one in where) or None)


async def test_nobody_is_cut_off_however_often_the_port_changes_before_docker_is_restarted(laptop: Relayed) -> None:
    """Docker has the first one, and containers that were made since have each of them."""

    def at_port(port: int) -> str:
        return f"{WHEN_IDLE}[relay]\nenable = true\nport = {port}"

    ports = (3150, 3140, 3130, 3160)
    laptop.policy(at_port(ports[0]))
    async with laptop.running() as hand:
        laptop.dockerd.containers = 1
        for moves, port in enumerate(ports[1:], start=2):
            laptop.policy(at_port(port))
            for _ in range(2):
                laptop.clock.ahead_s += 10
                await hand.wake(Reason.FILES)
            assert "3150" in str(laptop.dockerd.runs_with)
            assert laptop.clients.given[-1] == as_upstream(port)
            assert laptop.status()["docker"]["in_use"] == "office"
            assert {f"172.17.0.1:{one}" for one in ports[:moves]} <= {*(laptop.units.where() or ())}

        laptop.dockerd.containers = 0
        for _ in range(2):
            laptop.clock.ahead_s += 10
            await hand.wake()
        assert "3160" in str(laptop.dockerd.runs_with)
        assert laptop.units.where() == tuple(one.replace("3130", "3160") for one in LISTENS)


HELD = WITH_RELAY.replace("[docker]", '[docker]\nrestart = "when-idle"')  # a container holds a restart up for good


async def dies(laptop: Relayed, hand: Hand, *, helps: bool) -> None:
    """The relay does, with its sockets. `helps`: to bring it up again."""
    laptop.units.silent = {*LISTENS}
    laptop.units.heard_anew = {*laptop.units.silent} if helps else set()
    laptop.clock.ahead_s += 60
    laptop.units.ups.clear()
    await hand.wake(Reason.RELAY)


def said_of_the_relay(laptop: Relayed) -> list[str]:
    return [one["text"] for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]


async def switched_off(laptop: Relayed, hand: Hand) -> None:
    laptop.policy(HELD.replace("enable = true", "enable = false"))
    await hand.wake(Reason.FILES)


async def given_up_at_another_port(laptop: Relayed, hand: Hand) -> None:
    laptop.place.becomes(relay="refused")
    laptop.policy(HELD.replace("enable = true", "enable = true\nport = 3140"))
    for _ in range(3):
        await hand.wake(Reason.FILES)
        laptop.clock.ahead_s += 10
    (said,) = said_of_the_relay(laptop)
    assert "the relay does not work" in said


async def behind_a_portal(laptop: Relayed, hand: Hand) -> None:
    laptop.place.snapshot = HOME
    laptop.place.becomes(direct="portal")
    await hand.wake()
    assert laptop.status()["upstream"]["name"] is None


async def offline(laptop: Relayed, hand: Hand) -> None:
    laptop.place.snapshot = Snapshot()
    await hand.wake()


@contextlib.asynccontextmanager
async def held_up(laptop: Relayed, comes: Callable[[Relayed, Hand], Awaitable[None]]) -> AsyncIterator[Hand]:
    """Docker has the relay, a container holds each restart up, and then that comes."""
    laptop.policy(HELD)
    async with laptop.running() as hand:
        laptop.dockerd.containers = 1
        await comes(laptop, hand)
        yield hand


WHERE_NOTHING_PROBES_IT = pytest.mark.parametrize(
    "comes", [switched_off, given_up_at_another_port, behind_a_portal, offline]
)


@WHERE_NOTHING_PROBES_IT
async def test_a_relay_that_docker_has_is_brought_up_again_wherever_nothing_probes_it(
    laptop: Relayed, comes: Callable[[Relayed, Hand], Awaitable[None]]
) -> None:
    async with held_up(laptop, comes) as hand:
        before = said_of_the_relay(laptop)

        await dies(laptop, hand, helps=True)

        assert laptop.dockerd.runs_with == RELAY
        (where,) = laptop.units.ups
        assert {*LISTENS} <= {*where}
        assert not any("3140" in one for one in where)
        assert laptop.units.anew == [Anew.ALL]
        assert said_of_the_relay(laptop) == before
        assert "does not listen" not in str(laptop.status()["relay"])

        await hand.wake(Reason.RELAY)
        assert len(laptop.units.ups) == 1


@WHERE_NOTHING_PROBES_IT
async def test_that_it_cannot_be_brought_up_there_is_said_and_tried_again(
    laptop: Relayed, comes: Callable[[Relayed, Hand], Awaitable[None]]
) -> None:
    async with held_up(laptop, comes) as hand:
        laptop.units.fails = "failed (resources)."

        await dies(laptop, hand, helps=False)

        said, silence = said_of_the_relay(laptop)[-1], "the relay does not come up at 127.0.0.1:3130"
        assert said == f"Docker has the relay's address, but {silence}: failed (resources)"
        assert laptop.place.relay.next_at is not None
        if comes in (switched_off, behind_a_portal):  # offline is no outage, and one that is given up is one already
            assert laptop.status()["docker"]["works"] == "refused"

        laptop.units.fails, laptop.units.heard_anew = "", {*LISTENS}
        await hand.wake(Reason.RELAY)
        assert laptop.units.ups == []  # not in each pass
        laptop.clock.ahead_s += 15
        await hand.wake(Reason.TIMER)
        assert len(laptop.units.ups) == 1
        assert not any("does not" in one for one in said_of_the_relay(laptop) if "Docker has" in one)


@pytest.mark.parametrize(
    ("helps", "fails"),
    [
        pytest.param(True, "", id="it-comes-up"),
        pytest.param(False, "", id="it-does-not-listen"),
        pytest.param(True, "failed (exit-code)", id="its-sockets-are-open-and-nobody-is-behind-them"),
    ],
)
async def test_a_restart_that_takes_a_dead_relay_from_docker_is_urgent(
    laptop: Relayed, *, helps: bool, fails: str
) -> None:
    """Its upstream works, and nobody comes there any more."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.dockerd.containers = 1
        laptop.policy(OFF)
        await hand.wake(Reason.FILES)
        assert "the relay" not in str(laptop.status()["docker"]["deferred"])
        assert laptop.dockerd.runs_with == RELAY

        laptop.units.fails = fails
        await dies(laptop, hand, helps=helps)

        assert laptop.dockerd.runs_with == (RELAY if helps and not fails else OFFICE)
        assert (laptop.dockerd.containers, laptop.dockerd.killed) == (1, 0)


async def test_a_relay_that_comes_up_by_itself_is_not_taken_for_dead(laptop: Relayed) -> None:
    async with held_up(laptop, switched_off) as hand:
        laptop.units.fails = "failed (exit-code)"
        await dies(laptop, hand, helps=True)
        assert len(said_of_the_relay(laptop)) == 1
        laptop.clock.ahead_s += 15

        says(laptop, RelayState(laptop.orders.generation))
        await hand.wake(Reason.RELAY)

        assert said_of_the_relay(laptop) == []
        assert laptop.units.ups == []


async def test_a_relay_that_was_given_up_and_is_dead_is_left_alone_once_docker_does_not_have_it(
    laptop: Relayed,
) -> None:
    """It would be brought up at no address at all."""
    laptop.policy(HELD)
    async with laptop.running() as hand:
        laptop.dockerd.containers = 1
        laptop.place.becomes(relay="refused")
        for _ in range(3):
            laptop.clock.ahead_s += 600
            await hand.wake()
        assert "the relay does not work" in said_of_the_relay(laptop)[-1]
        laptop.units.fails = "failed (exit-code)"
        await dies(laptop, hand, helps=False)
        assert "does not come up" in said_of_the_relay(laptop)[-1]
        laptop.dockerd.containers = 0
        await hand.wake()
        assert laptop.dockerd.runs_with == OFFICE

        laptop.units.fails = ""
        for _ in range(2):
            laptop.clock.ahead_s += 20
            await hand.wake()

        assert laptop.units.ups == []
        assert laptop.units.where() == LISTENS


async def test_a_relay_that_is_switched_off_is_heard_for_as_long_as_docker_has_it(laptop: Relayed) -> None:
    """That it dies is told by its state, which goes with it."""
    async with held_up(laptop, switched_off) as hand:
        assert laptop.place.relay.folder is not None

        laptop.dockerd.containers = 0
        for _ in range(2):
            await hand.wake()
        assert laptop.place.relay.folder is None


async def test_a_pause_behind_a_portal_says_that_it_does_not_listen_and_restarts_nothing(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await behind_a_portal(laptop, hand)
        await laptop.asks(Command.PAUSE)
        await dies(laptop, hand, helps=True)

        (said,) = [one for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]
        assert "the relay does not listen at 127.0.0.1:3130" in said["text"]
        assert said["remedy"] == "Run: docker-proxy-agent resume"
        assert laptop.units.ups == []
        assert laptop.place.relay.next_at is None


@pytest.mark.parametrize("is_told", [True, False], ids=["but-its-process-does", "nor-does-its-process"])
@ANOTHER_PORT_OR_NONE
async def test_a_docker_that_says_nothing_keeps_what_it_may_have(
    laptop: Relayed, table: str, where: tuple[str, ...], is_told: bool
) -> None:
    """As under heavy I/O (FACTS 61), while its files say something else already."""
    laptop.policy(f"{POLICY}[relay]\nenable = true\nport = 3150")
    async with laptop.running() as hand:
        before = laptop.units.ups[-1]
        laptop.over()
        laptop.dockerd.is_silent = True
        if not is_told:  # it may have read this file, or not
            (laptop.dockerd.root / "etc/daemon.json").write_text("{}")
        laptop.policy(POLICY + table)
        for ahead_s in (10, 20, 30):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.FILES)
        assert "3150" not in str(laptop.dockerd.files())
        assert laptop.units.downs == 0
        assert set(before) <= set(laptop.units.where() or ())

        laptop.restarted()
    async with laptop.running() as hand:
        laptop.place.snapshot = HOME
        await hand.wake()
        assert (names(laptop.orders), laptop.units.downs) == (["direct"], 0)
        assert set(before) <= set(laptop.units.where() or ())

        laptop.dockerd.is_silent = False
        for ahead_s in (40, 50):
            laptop.clock.ahead_s = ahead_s
            await hand.wake()
        assert "3150" not in str(laptop.dockerd.runs_with)
        assert laptop.units.where() == (tuple(one.replace("3130", "3140") for one in where) or None)


async def test_docker_keeps_the_port_that_works_while_another_program_has_the_new_one(laptop: Relayed) -> None:
    """Whose answers are good ones: a probe there would give Docker to it."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        starts = laptop.dockerd.starts
        laptop.units.taken = "127.0.0.1:3140"
        laptop.policy(WITH_RELAY.replace("enable = true", "enable = true\nport = 3140"))
        for ahead_s in range(10, 100, 10):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.FILES)
            assert (laptop.dockerd.runs_with, laptop.dockerd.starts) == (RELAY, starts)
            assert laptop.units.where() == LISTENS
            assert laptop.clients.given[-1] == as_upstream(3130)
            assert ":3130" in laptop.paths.choice.read_text()
        assert laptop.conditions() == ["relay-not-kept"]
        assert "something else listens at 127.0.0.1:3140" in str(laptop.status()["conditions"])

        laptop.place.snapshot = HOME
        await hand.wake()
        assert names(laptop.orders) == ["direct"]

        laptop.units.taken = ""
        laptop.clock.ahead_s += 100
        await hand.wake()
        assert "3140" in str(laptop.dockerd.runs_with)
        assert (laptop.dockerd.starts, laptop.conditions()) == (starts + 1, [])


async def test_docker_keeps_the_port_that_works_until_the_new_one_does(laptop: Relayed) -> None:
    """One failed probe there is none of the old one."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        starts = laptop.dockerd.starts
        laptop.place.becomes(relay="refused")
        laptop.policy(WITH_RELAY.replace("enable = true", "enable = true\nport = 3140"))
        await hand.wake(Reason.FILES)
        assert (laptop.dockerd.runs_with, laptop.dockerd.starts) == (RELAY, starts)

        laptop.place.becomes(relay="ok")
        laptop.clock.ahead_s = 10
        await hand.wake()
        assert "3140" in str(laptop.dockerd.runs_with)
        assert laptop.dockerd.starts == starts + 1


async def test_a_port_that_was_written_and_not_read_by_systemd_is_read_before_it_counts(laptop: Relayed) -> None:
    """As by an agent that was killed between the two: nothing of that is the relay's fault."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        starts = laptop.dockerd.starts
        laptop.units.silent = laptop.units.heard_anew = {"127.0.0.1:3140"}
        laptop.policy(WITH_RELAY.replace("enable = true", "enable = true\nport = 3140"))
        for ahead_s in (10, 20):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.FILES)

        assert "3140" in str(laptop.dockerd.runs_with)
        assert (laptop.dockerd.starts, laptop.conditions()) == (starts + 1, [])


async def test_a_docker_that_does_not_start_with_it_is_not_given_it_again(laptop: Relayed) -> None:
    laptop.dockerd.refuses = RELAY
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        for _ in range(3):
            await hand.wake()

        assert laptop.dockerd.runs_with == OFFICE
        assert "relay-failed" in laptop.conditions()
    assert len(laptop.facts("rolled-back")) == 1


async def test_a_plan_that_finds_it_given_up_writes_nothing(laptop: Relayed) -> None:
    """Also where no agent has come to it yet."""
    laptop.dockerd.refuses = RELAY
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        await hand.wake()
    kept = laptop.paths.state / "relay-gave-up.json"
    kept.unlink()
    laptop.restarted()
    found = parse(WITH_RELAY)
    assert isinstance(found, Policy)
    place = laptop.world(laptop.paths, found)

    seen = await look(found, place, only_looking(found, place, laptop.paths.state))

    assert isinstance(seen, Planned)
    assert seen.relayed.is_broken
    assert not kept.exists()


async def test_that_it_was_given_up_is_kept_as_soon_as_that_can_be(laptop: Relayed) -> None:
    """As on a full disk: another process of the agent must not try it again."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        kept = laptop.paths.state / "relay-gave-up.json"
        kept.unlink(missing_ok=True)
        kept.mkdir()
        laptop.place.becomes(relay="refused")
        for ahead_s in (61, 64, 67):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.runs_with == OFFICE

        kept.rmdir()
        await hand.wake()

    laptop.restarted()
    laptop.place.becomes(relay="ok")
    async with laptop.running():
        assert laptop.dockerd.runs_with == OFFICE
        assert "relay-failed" in laptop.conditions()


@pytest.mark.parametrize("is_rootless", [False, True])
async def test_a_docker_in_a_network_of_its_own_has_no_relay_and_that_is_said(
    laptop: Relayed, *, is_rootless: bool
) -> None:
    if is_rootless:  # whatever is known of where it runs
        laptop.layout = msgspec.structs.replace(laptop.layout, bridge_is_here=False)
    else:
        laptop.place.vantage = Vantage(is_host=False, gateway="10.0.2.2")
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        assert laptop.dockerd.runs_with == OFFICE
        (said,) = [one for one in laptop.status()["conditions"] if one["code"] == "blocked"]
        assert "network of its own" in said["text"]
        assert laptop.units.ups == []
        assert not laptop.paths.relay_orders.exists()


async def test_the_bridge_moves_and_the_relay_with_it(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.bridge = None  # as before Docker has started: it is not forgotten
        await hand.wake()
        assert laptop.units.ups == [LISTENS]

        laptop.bridge = "10.99.0.1"
        await hand.wake()

        assert laptop.units.ups == [LISTENS, (*LISTENS[:2], "10.99.0.1:3130")]


async def test_it_leaves_a_bridge_that_it_must_not_listen_at_any_more(laptop: Relayed) -> None:
    """A network card has come into it. So nobody listens there, which is where clients are no longer sent."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.bridge = ""
        await hand.wake()
        laptop.bridge = None  # dockerd's file is being edited
        await hand.wake()

        assert laptop.units.ups == [LISTENS, LISTENS[:2]]
        assert laptop.dockerd.runs_with == RELAY
        laptop.bridge = "172.17.0.1"
        await hand.wake()
        assert laptop.units.ups[2:] == [LISTENS]


async def test_a_plan_takes_it_for_one_that_works_and_says_so(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    found = parse(WITH_RELAY)
    assert isinstance(found, Policy)
    place = laptop.world(laptop.paths, found)
    place.relay = AsIfItWorked(place.relay)

    seen = await look(found, place, only_looking(found, place, laptop.paths.state))

    assert isinstance(seen, Planned)
    assert seen.plan.desired == RELAY
    shown = picture_of(Pass(seen)).relay
    assert shown is not None
    assert shown.state == "tried"
    assert "  relay        is being tested; Docker uses it once it works" in seen_lines(picture_of(Pass(seen)))
    assert not laptop.paths.relay_orders.exists()
    assert laptop.units.ups == []
    assert laptop.clients.given == []  # by what listens now, containers would not reach it


@pytest.mark.parametrize(
    ("port", "is_seen"),
    [pytest.param("", True, id="that-it-has-seen"), pytest.param("port = 3140", False, id="another")],
)
async def test_a_command_beside_an_agent_that_has_seen_it_work_does_not_say_that_it_is_tried_first(
    laptop: Relayed, port: str, is_seen: bool
) -> None:
    """Docker's restart waits for a container, maybe for days, and clients have it already."""
    laptop.dockerd.containers = 1
    laptop.policy(WHEN_IDLE)
    async with laptop.running() as hand:
        laptop.policy(f"{WHEN_IDLE}[relay]\nenable = true\n")
        await hand.wake(Reason.FILES)
        assert laptop.status()["docker"]["deferred"]
        beside = parse(f"{WHEN_IDLE}[relay]\nenable = true\n{port}")
        assert isinstance(beside, Policy)

        assert is_relay_seen_to_work(beside, read_running(laptop.paths.status)) == is_seen

        laptop.memory = RelayMemory()  # the command's
        place = laptop.world(laptop.paths, beside)
        place.relay = AsIfItWorked(place.relay, is_seen=is_seen)
        seen = await look(beside, place, only_looking(beside, place, laptop.paths.state))
        shown = picture_of(Pass(seen)).relay
        assert shown is not None
        assert shown.state == ("given" if is_seen else "tried")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param(AgentError("/run/docker-proxy-agent/relay.json", "no space left"), "relay-not-kept", id="full"),
        pytest.param(ZeroDivisionError(), "internal-error", id="unexpected"),
    ],
)
async def test_a_relay_that_cannot_be_told_costs_docker_nothing(laptop: Relayed, broken: Exception, code: str) -> None:
    class Broken(LocalRelay):
        async def serve(self, chosen: Chosen, works: Works, *, may_start: bool) -> Seen:
            raise broken

    laptop.kind = Broken
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        assert laptop.dockerd.runs_with == OFFICE
        assert code in laptop.conditions()


async def test_a_relay_that_is_stopped_to_listen_elsewhere_is_started_there_whatever_comes_meanwhile(
    laptop: Relayed,
) -> None:
    """As another move, which ends a pass."""
    units = laptop.units

    class CutShort(LocalRelay):
        async def serve(self, chosen: Chosen, works: Works, *, may_start: bool) -> Seen:
            if not may_start or units.is_stopped.is_set():
                return await super().serve(chosen, works, may_start=may_start)
            units.goes_on.clear()
            serving = asyncio.create_task(super().serve(chosen, works, may_start=may_start))
            async with asyncio.timeout(20):
                await units.is_stopped.wait()
            serving.cancel()
            asyncio.get_running_loop().call_soon(units.goes_on.set)
            await asyncio.gather(serving, return_exceptions=True)
            assert serving.cancelled()
            assert units.where() == LISTENS
            return await super().serve(chosen, works, may_start=may_start)

    laptop.kind = CutShort
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        assert units.is_stopped.is_set()
        assert laptop.conditions() == []
        assert laptop.dockerd.runs_with == RELAY


def says(laptop: Relayed, state: RelayState) -> None:
    laptop.paths.relay_state.parent.mkdir(parents=True, exist_ok=True)
    laptop.paths.relay_state.write_bytes(state_file(state))


async def test_an_upstream_that_the_relay_could_not_open_is_asked_at_once_and_others_are_not(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert laptop.hand.relay_heeded == laptop.paths.relay_state.parent
        generation = laptop.orders.generation
        asked = len(laptop.place.asked)

        says(laptop, RelayState(generation, failed=UpstreamFailed(1, "office", "refused", generation=generation)))
        await hand.wake(Reason.RELAY)
        assert "office" in laptop.place.asked[asked:]

        asked = len(laptop.place.asked)
        await hand.wake(Reason.RELAY)  # the same one
        says(laptop, RelayState(generation, failed=UpstreamFailed(2, "office", "refused", generation=generation - 1)))
        await hand.wake(Reason.RELAY)  # of earlier orders
        assert laptop.place.asked[asked:] == []


@pytest.mark.parametrize("places", ["full", "names"])
async def test_who_is_refused_stands_in_the_log(laptop: Relayed, places: str) -> None:
    laptop.policy(f'{WITH_RELAY}[audit]\nplaces = "{places}"\n')
    async with laptop.running() as hand:
        says(laptop, RelayState(refused=(RefusedSource("192.0.2.7", 2), RefusedSource("192.0.2.8"))))
        for _ in range(3):
            await hand.wake(Reason.RELAY)

        where = {"sources": ["192.0.2.7", "192.0.2.8"]} if places == "full" else {}
        assert laptop.facts("relay-refused") == [{**where, "times": 3}]


async def test_what_it_carried_by_another_than_the_first_stands_in_the_log(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        generation = laptop.orders.generation
        for connections in (0, 2):
            says(laptop, RelayState(generation, carried=(Carried("direct", connections=connections),)))
            await hand.wake(Reason.RELAY)

        assert laptop.facts("relay-fell-back") == [
            {"upstream": "direct", "chosen": "office", "connections": 2, "generation": generation}
        ]


async def test_what_it_may_fall_back_to_stands_in_the_log(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY.replace('use = ["office", "direct"]', 'use = ["office"]'))
    async with laptop.running() as hand:
        for policy in (WITH_RELAY, WITH_RELAY + "# the same\n"):
            laptop.policy(policy)
            await hand.wake(Reason.FILES)

    told = [
        (facts["upstream"], facts.get("previous_upstream"), facts["others"]) for facts in laptop.facts("relay-switched")
    ]
    assert told == [("office", None, []), ("office", None, ["direct"])]


async def test_a_relay_that_falls_silent_is_probed_soon(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.clock.stand_still()
        says(laptop, RelayState(1))
        await hand.wake(Reason.RELAY)
        asked = laptop.place.asked.count("relay")

        laptop.paths.relay_state.unlink()
        await hand.wake(Reason.RELAY)
        assert laptop.place.asked.count("relay") == asked  # it was probed a moment ago
        assert laptop.place.relay.next_at is not None
        assert laptop.place.relay.next_at <= laptop.clock.boottime_s() + 2
        laptop.clock.ahead_s = 2
        await hand.wake(Reason.TIMER)

        assert laptop.place.asked.count("relay") == asked + 1


@pytest.mark.parametrize("helps", [True, False])
async def test_a_bridge_at_which_nobody_listens_is_seen_whatever_was_written(laptop: Relayed, *, helps: bool) -> None:
    """As where systemd's reload failed after the drop-in was written: dockerd's half works, containers' does not."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.units.silent = {LISTENS[2]}
        laptop.units.heard_anew = {LISTENS[2]} if helps else set()
        laptop.clock.ahead_s = 61
        await hand.wake(Reason.TIMER)
        assert laptop.units.anew == [Anew.ALL]
        if helps:
            assert "relay-failed" not in laptop.conditions()
            return
        (said,) = [one for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]
        assert "it does not listen at 172.17.0.1:3130" in said["text"]
        for ahead_s in (64, 67):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.runs_with == OFFICE


async def test_a_relay_that_hangs_is_started_anew_before_docker_is_touched(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.place.becomes(relay="refused refused ok")
        for ahead_s in (61, 64, 67):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)

        assert laptop.units.anew == [Anew.SERVICE]
        assert laptop.dockerd.runs_with == RELAY
        assert "relay-failed" not in laptop.conditions()


async def test_a_full_disk_does_not_take_the_relay_away(laptop: Relayed) -> None:
    """The bridge moves, and where to listen cannot be written: dockerd's half goes on."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.units.is_full, laptop.bridge = True, "10.99.0.1"
        for ahead_s in (61, 64, 67, 70, 130, 190):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)

        assert laptop.dockerd.runs_with == RELAY
        assert "relay-not-kept" in laptop.conditions()
        assert "relay-failed" not in laptop.conditions()

        laptop.units.is_full = False
        await hand.wake()
        assert laptop.units.ups[-1][2] == "10.99.0.1:3130"


async def test_status_has_the_numbers_of_now_and_not_of_the_last_pass(
    laptop: Relayed, capsys: pytest.CaptureFixture[str]
) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running():
        says(laptop, RelayState(laptop.orders.generation, connections=5, carried=(Carried("office", bytes_up=2000),)))
        capsys.readouterr()

        assert main(["--root", str(laptop.paths.root), "status"]) == 0

        assert "uses office; 5 connections, 2.0 kB so far" in capsys.readouterr().out


async def test_a_relay_that_goes_by_old_orders_is_started_anew_and_then_left(laptop: Relayed) -> None:
    """It answers, and by the wrong upstream: no probe tells that."""
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        says(laptop, RelayState(laptop.orders.generation))
        laptop.place.snapshot = HOME
        await hand.wake()
        ups = len(laptop.units.ups)
        assert laptop.place.relay.next_at is not None
        assert laptop.place.relay.next_at <= laptop.clock.boottime_s() + 5

        laptop.clock.ahead_s = 6
        await hand.wake(Reason.TIMER)
        assert laptop.units.anew == [Anew.SERVICE]
        (said,) = [one for one in laptop.status()["conditions"] if one["code"] == "relay-failed"]
        assert "uses generation 1 of its orders, not 2" in said["text"]

        for ahead_s in (9, 12):
            laptop.clock.ahead_s = ahead_s
            await hand.wake(Reason.TIMER)
        assert laptop.dockerd.runs_with == DIRECT
        assert len(laptop.units.ups) == ups + 3


async def test_a_relay_that_has_heard_is_not_doubted(laptop: Relayed) -> None:
    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        laptop.place.snapshot = HOME
        await hand.wake()
        says(laptop, RelayState(laptop.orders.generation))
        laptop.clock.ahead_s = 6

        await hand.wake(Reason.TIMER)

        assert laptop.units.anew == []
        assert "relay-failed" not in laptop.conditions()


PASSWORD = "s3cr3t-of-the-office"


class RootsPaths(Paths, frozen=True):
    """As those of the real system are."""

    @property
    def is_the_systems(self) -> bool:
        return True


@pytest.mark.needs_root
async def test_relay_json_is_for_root_and_the_relay_alone_whoever_had_it_before(laptop: Relayed) -> None:
    laptop.paths = RootsPaths(laptop.paths.root, laptop.paths.layout)
    groups = laptop.paths.below("/etc/group")
    groups.parent.mkdir(exist_ok=True)
    groups.write_text("docker-proxy-relay:x:4242:\n")

    def whose() -> tuple[int, int, int]:
        found = laptop.paths.relay_orders.stat()
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    laptop.policy(WITH_RELAY)
    async with laptop.running() as hand:
        assert whose() == (0, 4242, 0o640)

        laptop.paths.relay_orders.chmod(0o644)
        laptop.place.snapshot = HOME
        await hand.wake()
        assert whose() == (0, 4242, 0o640)

        groups.write_text("docker-proxy-relay:x:4243:\n")  # the package was removed, and is there again
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        assert whose() == (0, 4243, 0o640)


async def test_no_password_leaves_relay_json(laptop: Relayed) -> None:
    secret = laptop.paths.policy.parent / "office.password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    named = f'username = "alice"\npassword_file = "/{secret.relative_to(laptop.paths.root)}"'
    laptop.policy(WITH_RELAY.replace("[[network]]", f"{named}\n[[network]]"))
    async with laptop.running() as hand:
        assert PASSWORD in laptop.paths.relay_orders.read_text()
        assert stat.S_IMODE(laptop.paths.relay_orders.stat().st_mode) & 0o007 == 0
        laptop.place.becomes(relay="proxy-auth")
        laptop.clock.ahead_s = 61
        await hand.wake(Reason.TIMER)
        shown = [laptop.paths.status.read_text(), laptop.paths.audit_log.read_text()]
        shown += [str(text) for text in laptop.dockerd.files().values()]

        assert not any(PASSWORD in text for text in shown)

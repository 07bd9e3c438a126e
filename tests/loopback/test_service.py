"""The service on real files: what wakes it is the test's, what it does is its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.audit.record import Record
from agent.clients.clients import ClientFile, ClientsSeen
from agent.clients.users import Account, FoundBy
from agent.decide.clients import Intent, Wanted
from agent.decide.probation import LASTS_S
from agent.decide.unsteady import STANDS_S, WITHIN_S, Shaken
from agent.docker.journal import Journal, Stage, UnderWay
from agent.one_pass.shaken_file import KeptShaken, ShakenFile
from agent.service.requests import Answer, Command, Request, Wish
from agent.service.service import Service
from agent.service.status_file import read
from agent.service.unfinished import FINISH_AGAIN_S
from agent.service.watch.unwatched import Unwatched
from agent.system.clock import SYSTEM_CLOCK, now_text
from agent.system.notify import Notify
from agent.system.process_start import boot_id
from agent.system.state_file import StateFile
from agent.targets import drop_in
from agent.values.asker import Asker, Via
from agent.values.dockerd import Phase, Reality
from agent.values.errors import RestartFailed, UnitFailed
from agent.values.listening import LocalProxy
from agent.values.paths import Paths
from agent.values.policy import Policy, Upstream
from agent.values.reason import Reason
from agent.values.relay import RelayState
from agent.values.settings import DIRECT, Settings, Texts, settings
from agent.values.snapshot import Interface, Snapshot, Way
from agent.values.verdict import Verdict
from tests.waiting import Seen, until_awaited

from .certificates import CORP
from .dockerd import Dockerd
from .test_reconcile import OFFICE, POLICY, NoClients, Place, at
from .test_which import SNAP, USUAL, System

ALICE = Asker(Via.CONTROL, uid=0, login_uid=1000, claimed="alice")


class Hand:
    """Wakes the service by hand; knows when it is asleep again."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self.files = asyncio.Event()  # what is told of files during a pass
        self.bridges = asyncio.Event()  # … and of Docker's networks
        self.next_at: float | None = None
        self.watched: Sequence[Path] = ()
        self.held: tuple[Collection[LocalProxy], float] = ((), 0.0)
        self.unwatched = Unwatched()
        self.are_neighbours_followed = False
        self.relay_heeded: Path | None = None
        self._reasons: asyncio.Queue[Reason] = asyncio.Queue()

    async def next(self, at: float | None) -> frozenset[Reason]:
        self.next_at = at
        self.asleep.set()
        return frozenset({await self._reasons.get()})

    async def interrupted(self) -> Reason:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    def request(self) -> None:
        self.asleep.clear()
        self._reasons.put_nowait(Reason.REQUEST)

    def watch(self, files: Sequence[Path]) -> None:
        self.watched = files

    def follow(self, pid: int) -> None:
        """The test wakes it itself."""

    def follow_neighbours(self, *, are_followed: bool) -> None:
        self.are_neighbours_followed = are_followed

    def hold(self, proxies: Collection[LocalProxy], again_s: float) -> None:
        self.held = (proxies, again_s)

    def heed_relay(self, folder: Path | None, look: Callable[[], RelayState | None]) -> None:
        self.relay_heeded = folder

    async def files_told(self) -> None:
        await asyncio.wait_for(self.files.wait(), 600)
        self.files.clear()

    async def bridges_told(self) -> None:
        await asyncio.wait_for(self.bridges.wait(), 600)
        self.bridges.clear()

    async def wake(self, reason: Reason = Reason.NETWORK) -> None:
        """One pass, from this wake-up to the next sleep."""
        self.asleep.clear()
        self._reasons.put_nowait(reason)
        await asyncio.wait_for(self.asleep.wait(), 30)


class Laptop:
    """A root with a policy, a place, a dockerd, and the service."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        (root / "dockerd").mkdir(exist_ok=True)
        self.dockerd = self.dockerd_of(root / "dockerd")
        self.place = Place(at("10.10.0.1"), self.dockerd, office="ok", direct="ok")
        self.hand = Hand()
        self.said: list[str] = []
        self.paths.policy.parent.mkdir(parents=True, exist_ok=True)
        self.paths.policy.parent.chmod(0o755)

    def dockerd_of(self, root: Path) -> Dockerd:
        return Dockerd(root, self.paths.state)

    def policy(self, text: str = POLICY) -> None:
        self.paths.policy.write_text(text)
        self.paths.policy.chmod(0o644)

    def world(self, _paths: Paths, policy: Policy) -> Place:
        self.place.policy = policy
        return self.place

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hand]:
        self.service = Service(self.paths, self.paths.policy, self.hand, Notify(), self.world)
        task = asyncio.create_task(self.service.run())
        await asyncio.wait_for(self.hand.asleep.wait(), 30)
        try:
            yield self.hand
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def asks(self, command: Command, **wish: Any) -> Answer:
        """As from the control socket, until it is answered."""
        request = Request(Wish(command, **wish), self.said.append, ALICE)
        return await asyncio.wait_for(self.service.ask(request), 30)

    async def until(self, holds: Callable[[], bool]) -> None:
        await until_awaited(30, lambda: Seen(holds(), self.status()), "the status")

    def over(self) -> None:
        """The minute after a restart."""
        file = StateFile(self.dockerd.agent_state / "journal.json", UnderWay, 1)
        was = Journal(self.dockerd.agent_state).under_way()
        assert was.trial is not None
        file.save(msgspec.structs.replace(was, trial=msgspec.structs.replace(was.trial, until=0.0)))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.paths.status.read_text())
        return found

    def facts(self, event: str) -> list[dict[str, Any]]:
        records = (json.loads(line) for line in self.paths.audit_log.read_text().splitlines())
        return [record["facts"] for record in records if record["event"] == event]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.paths.audit_log.read_text().splitlines()]

    def events(self) -> list[str]:
        return [record["event"] for record in self.records()]


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


async def test_it_follows_the_laptop_and_shows_it(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        assert laptop.dockerd.runs_with == OFFICE
        assert laptop.status()["state"] == "steady"
        assert laptop.status()["upstream"]["name"] == "office"

        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()

        assert laptop.dockerd.runs_with == DIRECT
        assert laptop.status()["network"]["name"] == "elsewhere"
        assert laptop.status()["docker"]["restarts"] == 2
        shown = read(laptop.paths.status)
        assert shown is not None
        assert shown.status is not None
        assert shown.status.pid == os.getpid()
        assert shown.is_running
    assert laptop.events() == [
        "agent-started", "policy-loaded",
        "upstream-chosen", "apply-started", "settings-written",  # then systemd is told READY
        "apply-started", "docker-started", "docker-restarted",
        "network-changed", "upstream-chosen", "apply-started", "settings-written", "docker-started", "docker-restarted",
        "agent-stopped",
    ]  # fmt: skip


async def test_since_when_it_goes_by_an_upstream_is_told_of_this_place(laptop: Laptop) -> None:
    laptop.policy('[[network]]\nname = "office"\nmatch.gateway = ["10.10.0.1"]\nuse = ["direct"]\n')
    async with laptop.running() as hand:
        await hand.wake()
        at_the_office = laptop.status()["upstream"]
        await until_awaited(5, lambda: now_text() > at_the_office["since"], "the next second")
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
        at_home = laptop.status()["upstream"]

    assert at_the_office["name"] == at_home["name"] == "direct"
    assert at_the_office["since"] < at_home["since"]


async def test_what_a_log_said_that_is_gone_is_said_again_by_the_running_agent_and_by_the_next(laptop: Laptop) -> None:
    laptop.policy()
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="ok dns", direct="dns")
    async with laptop.running() as hand:
        await laptop.asks(Command.PIN, upstream="office")
        await laptop.asks(Command.PAUSE, for_s=3600.0)
        for _ in range(3):
            laptop.place.asked.clear()
            await hand.wake(Reason.RESUME)
        (began,) = laptop.facts("unreachable-began")

        laptop.paths.audit_log.unlink()
        await laptop.asks(Command.RELOAD)

        assert [one["upstream"] for one in laptop.facts("pinned")] == ["office"]
        assert len(laptop.facts("paused")) == 1
        assert laptop.facts("unreachable-began") == [began]
        assert not any("by" in one for one in laptop.records() if one["event"] in ("pinned", "paused"))
    laptop.paths.audit_log.unlink()

    laptop.hand = Hand()
    async with laptop.running():
        (started,) = laptop.facts("agent-started")
        assert (started["pinned"], started["is_paused"]) == ("office", True)
        assert "paused_until" in started
        assert "pinned_until" not in started
        assert laptop.facts("pinned") == []


async def test_another_docker_is_served_by_the_pass_that_follows_the_end_of_a_restart(laptop: Laptop) -> None:
    laptop.policy()
    system = System(laptop.paths.root)
    system.has(USUAL)
    system.has(SNAP)
    async with laptop.running() as hand:
        journal = StateFile(laptop.dockerd.agent_state / "journal.json", UnderWay, 1)
        journal.change(lambda was: msgspec.structs.replace(was or UnderWay(), unit=USUAL))
        served = laptop.service._policy.served
        system.starts(SNAP)
        await hand.wake(Reason.FILES)
        assert served.service == USUAL
        laptop.over()

        await hand.wake(Reason.TIMER)

        assert hand.next_at is not None
        assert hand.next_at <= time.clock_gettime(time.CLOCK_BOOTTIME)
        await hand.wake(Reason.TIMER)
        assert served.service == SNAP


async def test_a_network_that_comes_and_goes_has_to_stand_before_docker_follows_again(laptop: Laptop) -> None:
    laptop.policy()
    laptop.place.snapshot = at("10.20.0.1")
    async with laptop.running() as hand:
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        assert laptop.dockerd.runs_with == OFFICE
        assert laptop.status()["conditions"] == []
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
        assert (laptop.dockerd.runs_with, laptop.status()["state"]) == (DIRECT, "steady")
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["unsteady"]

        came = time.clock_gettime(time.CLOCK_BOOTTIME)
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        due = hand.next_at
        assert (laptop.dockerd.runs_with, laptop.status()["state"]) == (DIRECT, "deferred")
        assert due is not None
        assert due == pytest.approx(came + STANDS_S[0], abs=2)

    # A restart of the agent is no rest for the network.
    laptop.hand = Hand()
    async with laptop.running() as hand:
        assert (laptop.dockerd.runs_with, laptop.status()["state"]) == (DIRECT, "deferred")
        assert hand.next_at == due

        await laptop.asks(Command.APPLY, is_now=True)
        assert (laptop.dockerd.runs_with, laptop.status()["state"]) == (OFFICE, "steady")
        assert hand.next_at == pytest.approx(came + WITHIN_S, abs=2), "it says when the network is steady again"

        # What a person asked for makes no network more unsteady.
        came = time.clock_gettime(time.CLOCK_BOOTTIME)
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
        assert hand.next_at == pytest.approx(came + STANDS_S[0], abs=2)


async def test_a_restart_that_another_agent_waited_for_counts(laptop: Laptop) -> None:
    laptop.policy()
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    kept = KeptShaken(laptop.place.snapshot.fingerprint(), now - STANDS_S[0], Shaken(now - STANDS_S[0] - 1, waits=1))
    ShakenFile(laptop.paths.state).save(kept)
    async with laptop.running() as hand:
        assert laptop.dockerd.runs_with == OFFICE

        came = time.clock_gettime(time.CLOCK_BOOTTIME)
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
        assert hand.next_at == pytest.approx(came + STANDS_S[1], abs=2)


async def test_a_hole_in_dns_is_no_move(laptop: Laptop) -> None:
    laptop.policy(POLICY + "[probe]\nfailures = 1\n")
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="ok dns dns ok", direct="ok")
    async with laptop.running() as hand:
        laptop.place.snapshot = msgspec.structs.replace(at("10.10.0.1"), dns_servers=("10.10.0.9",))
        for why, verdict in ((Reason.NETWORK, "dns"), (Reason.RESUME, "dns"), (Reason.RESUME, "ok")):
            laptop.place.asked.clear()
            await hand.wake(why)

            assert laptop.place.asked == ["office", "direct"], "it is asked at once"
            assert laptop.status()["verdicts"]["office"]["verdict"] == verdict
            assert laptop.status()["upstream"]["name"] == "office"
        assert laptop.status()["docker"]["restarts"] == 1
        assert laptop.dockerd.runs_with == OFFICE


async def test_what_a_crash_left_is_finished_first_and_docker_only_after_ready(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        assert laptop.dockerd.recovered == [False, True]


@pytest.mark.parametrize("stage", [Stage.ROLLING_BACK, Stage.RESTARTING])
async def test_a_docker_that_a_crash_of_ours_left_down_comes_up(laptop: Laptop, stage: Stage) -> None:
    laptop.policy()
    environment = laptop.dockerd.root / "etc/dockerd.env"
    journal = Journal(laptop.dockerd.agent_state)
    elsewhere = drop_in.edit(settings("http://elsewhere:1", "http://elsewhere:1", "localhost"))
    environment.write_text(elsewhere)
    journal.note(str(environment), None, elsewhere, 0o600)
    journal.enter(stage)
    laptop.dockerd.phase = Phase.STOPPED if stage is Stage.ROLLING_BACK else Phase.BROKEN

    async with laptop.running():
        assert laptop.dockerd.is_running
        assert laptop.dockerd.runs_with == OFFICE
        assert "rolled-back" in laptop.events() or "rolled-back" in laptop.dockerd.events()
        assert journal.under_way().is_over


async def test_a_docker_that_dies_of_what_was_written_is_looked_after_by_the_next_pass(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        assert hand.next_at is not None
        assert hand.next_at <= time.clock_gettime(time.CLOCK_BOOTTIME) + LASTS_S
        laptop.dockerd.refuses = OFFICE
        laptop.dockerd.crash(comes_back=False)

        await hand.wake(Reason.FILES)

        assert laptop.dockerd.runs_with == DIRECT
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["quarantined"]
        await hand.wake(Reason.TIMER)
        assert laptop.status()["upstream"]["name"] == "direct"


async def test_a_restart_that_another_agent_put_off_and_is_moot_by_now_is_dropped(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        laptop.over()
        laptop.dockerd.containers, laptop.dockerd.shims_in_unit = 1, True  # live-restore would not keep it
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
        assert laptop.facts("restart-deferred")[-1]["unit"] == "docker.service"

    laptop.hand = Hand()
    async with laptop.running() as hand:
        assert laptop.facts("restart-dropped") == []
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        (dropped,) = laptop.facts("restart-dropped")

    assert dropped == {"unit": "docker.service", "because": "what Docker runs with is what is wanted again"}


async def test_what_waits_for_a_restart_is_written_after_the_minute_of_the_one_before(laptop: Laptop) -> None:
    """Else nobody knew any more what a Docker that dies of that one ran with before."""
    laptop.policy()
    async with laptop.running() as hand:
        standing = laptop.dockerd.files()
        await laptop.asks(Command.PIN, upstream="direct")  # docker.min_interval holds its restart back
        assert laptop.dockerd.files() == standing
        assert laptop.status()["state"] == "deferred"
        assert [target["state"] for target in laptop.status()["targets"]] == ["pending"]
        events = laptop.events()
        assert events.count("restart-deferred") == 1

        await hand.wake(Reason.TIMER)
        assert laptop.events() == events
        laptop.over()
        await hand.wake(Reason.TIMER)

        assert laptop.dockerd.text("etc/dockerd.env") == drop_in.edit(DIRECT)
        assert laptop.dockerd.runs_with == OFFICE
        assert "drift-corrected" not in laptop.events()


async def test_a_docker_that_dies_while_something_waits_to_be_written_is_rolled_back(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        await laptop.asks(Command.PIN, upstream="direct")
        laptop.dockerd.refuses = OFFICE
        laptop.dockerd.crash(comes_back=False)

        await hand.wake(Reason.FILES)

        assert laptop.dockerd.runs_with == DIRECT
        assert "rolled-back" in laptop.events()


async def test_a_boot_does_not_wait_for_the_minute_of_a_restart_before_it(laptop: Laptop) -> None:
    """Docker is down, and about to start with what stands there; what it ran with at last is known all the same."""
    laptop.policy()
    async with laptop.running():
        assert laptop.dockerd.runs_with == OFFICE
    was = Journal(laptop.dockerd.agent_state).under_way()
    file = StateFile(laptop.dockerd.agent_state / "journal.json", UnderWay, 1)
    file.save(msgspec.structs.replace(was, boot="another"))
    laptop.dockerd.phase, laptop.place.snapshot, laptop.hand = Phase.STOPPED, at("10.20.0.1"), Hand()

    async with laptop.running():
        assert laptop.dockerd.text("etc/dockerd.env") == drop_in.edit(DIRECT)


class NotYet(Dockerd):
    """What is under way with it cannot be looked after: systemd does not answer, say."""

    tries = 0
    fails = range(0)  # which of the tries, once Docker may be restarted

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        self.tries += may_restart
        if may_restart and self.tries in self.fails:
            raise UnitFailed("systemctl show", "no answer")
        return await super().recover(record, may_restart=may_restart)


@pytest.fixture
def not_yet(tmp_path: Path) -> tuple[Laptop, NotYet]:
    laptop = Laptop(tmp_path)
    (tmp_path / "not-yet").mkdir()
    dockerd = NotYet(tmp_path / "not-yet", laptop.paths.state)
    laptop.dockerd = laptop.place.daemon = dockerd
    return laptop, dockerd


async def test_a_time_of_another_boot_is_not_waited_for(not_yet: tuple[Laptop, NotYet]) -> None:
    """Its clock began anew: where the first look after the boot fails, the next one gives Docker its minute."""
    laptop, dockerd = not_yet
    laptop.policy()
    async with laptop.running():
        assert dockerd.runs_with == OFFICE
    was = Journal(dockerd.agent_state).under_way()
    assert was.trial is not None
    late = msgspec.structs.replace(was.trial, until=time.monotonic() + 1e6)
    file = StateFile(dockerd.agent_state / "journal.json", UnderWay, 1)
    file.save(msgspec.structs.replace(was, boot="another", trial=late))
    dockerd.tries, dockerd.fails, laptop.hand = 0, range(1, 2), Hand()

    async with laptop.running():
        assert dockerd.tries == 2
        now = Journal(dockerd.agent_state).under_way()
        assert now.boot == boot_id()
        assert now.trial is not None
        assert now.trial.until <= time.monotonic() + LASTS_S


@pytest.mark.parametrize("dies", ["of-what-waited", "within-the-minute"])
async def test_a_docker_that_cannot_be_helped_is_tried_once_a_minute(not_yet: tuple[Laptop, NotYet], dies: str) -> None:
    laptop, dockerd = not_yet
    waits = dies == "of-what-waited"
    laptop.policy(POLICY + ('[docker]\nrestart = "never"\n' if waits else ""))
    laptop.place.snapshot = at("10.20.0.1" if waits else "10.10.0.1")
    async with laptop.running() as hand:
        if waits:
            await restarted_with_what_waited(laptop, hand)
        else:
            dockerd.refuses = OFFICE
            dockerd.crash(comes_back=False)
        dockerd.tries, dockerd.fails = 0, range(1, 100)
        for _ in range(6):
            await hand.wake(Reason.TIMER)

        assert dockerd.tries == (1 if waits else 2), "the first time before anybody has seen it down"
        assert hand.next_at is not None
        assert hand.next_at > SYSTEM_CLOCK.boottime_s() + FINISH_AGAIN_S / 2
        dockerd.fails = range(0)
        laptop.service._unfinished.due_at = 0.0
        await hand.wake(Reason.TIMER)
        assert dockerd.runs_with == DIRECT


async def test_what_is_put_right_within_the_minute_does_not_end_it(laptop: Laptop) -> None:
    laptop.policy()
    environment = laptop.dockerd.root / "etc/dockerd.env"
    async with laptop.running() as hand:
        ours = environment.read_text()
        environment.write_text(ours.replace("office", "elsewhere"))
        await hand.wake(Reason.FILES)
        assert environment.read_text() == ours
        laptop.dockerd.refuses = OFFICE
        laptop.dockerd.crash(comes_back=False)

        await hand.wake(Reason.FILES)

        assert laptop.dockerd.runs_with == DIRECT
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["quarantined"]


@pytest.mark.parametrize("dies", ["at-once", "after-it-was-up"])
async def test_a_docker_that_somebody_else_restarts_with_what_waited_is_rolled_back_if_it_dies_of_it(
    laptop: Laptop, dies: str
) -> None:
    laptop.policy(POLICY + '[docker]\nrestart = "never"\n')
    laptop.place.snapshot = at("10.20.0.1")
    dockerd = laptop.dockerd
    async with laptop.running() as hand:
        standing = dockerd.files()
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
        assert dockerd.runs_with == DIRECT
        if dies == "at-once":
            dockerd.refuses = OFFICE
        with suppress(RestartFailed):
            await dockerd.restart()
        await hand.wake(Reason.FILES)
        if dies == "after-it-was-up":
            assert dockerd.runs_with == OFFICE
            dockerd.refuses = OFFICE
            dockerd.crash(comes_back=False)
            await hand.wake(Reason.FILES)
        else:
            assert hand.next_at is not None
            assert hand.next_at < time.clock_gettime(time.CLOCK_BOOTTIME) + 2
            await hand.wake(Reason.TIMER)

        assert dockerd.is_running
        assert dockerd.runs_with == DIRECT
        assert dockerd.files() == standing
        assert "quarantined" in str(laptop.status()["conditions"])


async def restarted_with_what_waited(laptop: Laptop, hand: Hand) -> None:
    """By a person, and it does not start with it; nothing has looked yet."""
    laptop.place.snapshot = at("10.10.0.1")
    await hand.wake()
    assert laptop.dockerd.runs_with == DIRECT
    laptop.dockerd.refuses = OFFICE
    with suppress(RestartFailed):
        await laptop.dockerd.restart()


async def test_what_waited_and_only_ever_crashes_is_looked_at_in_time(laptop: Laptop) -> None:
    laptop.policy(POLICY + '[docker]\nrestart = "never"\n')
    laptop.place.snapshot = at("10.20.0.1")
    async with laptop.running() as hand:
        await restarted_with_what_waited(laptop, hand)
        laptop.dockerd.comes_back_by_itself = True
        for laptop.dockerd.restarts, soon_s in ((1, 6.0), (2, 2.0)):
            await hand.wake(Reason.TIMER)
            assert laptop.dockerd.phase is Phase.BROKEN
            assert hand.next_at is not None
            assert hand.next_at < time.clock_gettime(time.CLOCK_BOOTTIME) + soon_s

        await hand.wake(Reason.TIMER)

        assert laptop.dockerd.is_running
        assert laptop.dockerd.runs_with == DIRECT


async def test_a_docker_that_somebody_broke_is_said_to_be_theirs_though_something_of_ours_waits(laptop: Laptop) -> None:
    laptop.policy(POLICY + '[docker]\nrestart = "never"\n')
    laptop.place.snapshot = at("10.20.0.1")
    dockerd = laptop.dockerd
    file, validates = dockerd.root / "etc/daemon.json", dockerd.root / "dockerd"
    validates.write_text("#!/bin/sh\necho unknown key: nosuch >&2\nexit 1\n")
    validates.chmod(0o755)
    async with laptop.running() as hand:
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        file.write_text('{"nosuch": 1}')
        dockerd.binary, dockerd.refuses_file = str(validates), "nosuch"
        with suppress(RestartFailed):
            await dockerd.restart()
        recovered = len(dockerd.recovered)
        for _ in range(5):
            await hand.wake(Reason.TIMER)

        assert dockerd.phase is Phase.BROKEN
        assert file.read_text() == '{"nosuch": 1}'
        assert "unknown key: nosuch" in str(laptop.status()["conditions"])
        assert "rolled-back" not in laptop.events()
        assert len(dockerd.recovered) == recovered + 1


@pytest.mark.parametrize("dies", [True, False])
async def test_a_start_that_somebody_made_while_no_agent_ran_has_its_minute_before_a_move_is_written(
    laptop: Laptop, dies: bool
) -> None:
    laptop.policy(POLICY + '[docker]\nrestart = "never"\n')
    dockerd = laptop.dockerd
    async with laptop.running():
        assert dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)
    standing = dockerd.files()
    await dockerd.restart()
    laptop.place.snapshot, laptop.hand = at("10.20.0.1"), Hand()

    async with laptop.running() as hand:
        assert dockerd.files() == standing
        if dies:
            dockerd.refuses = OFFICE
            dockerd.crash(comes_back=False)
            await hand.wake(Reason.FILES)
            assert "rolled-back" in laptop.events()
            assert dockerd.runs_with == DIRECT
        else:
            laptop.over()
            await hand.wake(Reason.TIMER)
            assert dockerd.text("etc/dockerd.env") == drop_in.edit(DIRECT)
            assert dockerd.runs_with == OFFICE


async def test_what_docker_ran_with_for_a_minute_is_believed_whoever_restarted_it(laptop: Laptop) -> None:
    laptop.policy(POLICY + '[docker]\nrestart = "never"\n')
    async with laptop.running() as hand:
        await laptop.dockerd.restart()
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == OFFICE
        laptop.over()
        await hand.wake(Reason.TIMER)
        laptop.dockerd.crash(comes_back=False)  # of something else

        await hand.wake(Reason.FILES)

        assert laptop.dockerd.phase is Phase.BROKEN
        assert laptop.dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)


async def test_a_docker_that_we_took_down_comes_up_without_a_policy_too(laptop: Laptop) -> None:
    Journal(laptop.dockerd.agent_state).enter(Stage.ROLLING_BACK)
    laptop.dockerd.phase = Phase.STOPPED

    async with laptop.running():
        assert laptop.dockerd.is_running
        assert laptop.status()["state"] == "idle"


@pytest.mark.parametrize("is_tried", [True, False])  # an upgraded dockerd may refuse what the one that runs has taken
async def test_a_file_that_dockerd_would_not_take_is_no_fight(laptop: Laptop, is_tried: bool) -> None:
    """What is written is written, Docker stays as it is, and it is tried when the file has changed."""
    validates = laptop.dockerd.root / "dockerd"
    validates.write_text(
        "#!/bin/sh\necho 'unknown key' >&2\nexec test ! -e " + str(laptop.dockerd.root / "etc/daemon.json")
    )
    validates.chmod(0o755)
    (laptop.dockerd.root / "etc/daemon.json").write_text('{"unknown": 1}')
    laptop.dockerd.binary = str(validates)
    if is_tried:
        await laptop.dockerd.restart()
    laptop.policy()
    async with laptop.running() as hand:
        for _ in range(7):
            await hand.wake(Reason.TIMER)

        assert laptop.dockerd.runs_with == DIRECT
        assert "drift-corrected" not in laptop.events()
        # Before READY, when nothing is restarted; after it, where only the transaction asks.
        assert laptop.events().count("apply-started") == (2 if is_tried else 1)
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["foreign-config-broken"]
        assert laptop.dockerd.text("etc/dockerd.env") == drop_in.edit(OFFICE)

        (laptop.dockerd.root / "etc/daemon.json").unlink()
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == OFFICE


async def test_what_it_counts_is_shown_and_outlives_it(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
        await hand.wake()
        before = laptop.status()["counters"]
    async with laptop.running():
        after = laptop.status()["counters"]

    assert before["restarts"]["network"] == laptop.events().count("docker-restarted") - before["restarts"]["other"] == 1
    assert after == before


async def test_an_idle_pass_writes_nothing(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        await hand.wake(Reason.RESUME)
        shown = laptop.paths.status.stat().st_mtime_ns
        before = laptop.events(), laptop.dockerd.starts, laptop.dockerd.events()

        asks_all = {Reason.RESUME, Reason.PROXY}
        for reason in set(Reason) - asks_all:
            await hand.wake(reason)
        assert laptop.paths.status.stat().st_mtime_ns == shown
        for reason in asks_all:
            await hand.wake(reason)  # when they were asked is shown

        assert (laptop.events(), laptop.dockerd.starts, laptop.dockerd.events()) == before


async def test_without_a_policy_it_waits_for_one(laptop: Laptop) -> None:
    async with laptop.running() as hand:
        assert laptop.status()["state"] == "idle"
        assert laptop.status()["conditions"][0]["code"] == "no-policy"
        assert laptop.paths.policy in hand.watched
        assert laptop.dockerd.files() == {}

        laptop.policy()
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.runs_with == OFFICE

        laptop.paths.policy.unlink()
        await hand.wake(Reason.FILES)
        assert laptop.status()["state"] == "idle"
        assert laptop.dockerd.runs_with == OFFICE


async def test_without_a_policy_a_look_at_docker_that_fails_is_said_until_one_does_not(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_desired: Settings) -> Reality:
        raise UnitFailed("systemctl show", "did not end within 30 s")

    async with laptop.running() as hand:
        with monkeypatch.context() as broken:
            broken.setattr(laptop.dockerd, "reality", fails)
            await hand.wake(Reason.FILES)
            assert [condition["code"] for condition in laptop.status()["conditions"]] == ["no-policy", "target-failed"]
            assert hand.next_at is not None

        await hand.wake(Reason.TIMER)
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["no-policy"]
        assert laptop.status()["docker"]["version"] == "26"
        assert hand.next_at is None


async def test_a_wrong_policy_leaves_the_last_good_one_in_force(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        laptop.policy(POLICY.replace("10.10.0.1", "10.10.0.300"))
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake(Reason.FILES)

        assert laptop.dockerd.runs_with == DIRECT
        (condition,) = laptop.status()["conditions"]
        assert condition["code"] == "policy-error"
        assert '"10.10.0.300" is not an address' in condition["text"]
        assert laptop.status()["policy"]["error"] == condition["text"]

        await hand.wake(Reason.FILES)
        assert laptop.events().count("policy-rejected") == 1

        laptop.policy()
        await hand.wake(Reason.FILES)
        assert laptop.status()["conditions"] == []


@pytest.mark.parametrize("key", ["password_file", "ca_file"])
async def test_a_file_that_comes_later_than_its_policy_is_waited_for(laptop: Laptop, tmp_path: Path, key: str) -> None:
    """Also at the first start, where no policy was ever in force; and its mode counts, too."""
    file = tmp_path / "later/secret"
    names = {
        "password_file": POLICY.replace(
            'url = "http://office:3128"', 'url = "http://office:3128"\nusername = "a"\npassword_file = "/later/secret"'
        ),
        "ca_file": POLICY + '[probe]\nca_file = "/later/secret"\n',
    }
    laptop.policy(names[key])
    async with laptop.running() as hand:
        assert laptop.status()["conditions"][0]["code"] == "policy-error"
        assert file in hand.watched

        file.parent.mkdir()
        file.write_text("hunter2\n")
        file.chmod(0o644)
        await hand.wake(Reason.FILES)
        assert laptop.status()["conditions"][0]["code"] == "policy-error"
        assert file in hand.watched

        file.write_text("hunter2\n" if key == "password_file" else CORP.cert_pem.bytes().decode())
        file.chmod(0o600)
        await hand.wake(Reason.FILES)
        assert laptop.status()["conditions"] == []
        assert file in hand.watched
        assert laptop.status()["state"] == "steady"


class BlackHole(Place):
    """Where probes have no answer until they are let go."""

    def __init__(self, laptop: Laptop) -> None:
        super().__init__(at("10.20.0.1"), laptop.dockerd, office="ok", direct="ok")
        self.is_asked, self.is_over = asyncio.Event(), asyncio.Event()

    async def verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Mapping[str, Verdict]], bool]
    ) -> Mapping[str, Verdict]:
        self.is_asked.set()
        await asyncio.wait_for(self.is_over.wait(), 60)
        return await super().verdicts(upstreams, is_enough)


async def test_a_wrong_policy_shows_while_a_pass_waits_for_what_does_not_answer(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        laptop.place = BlackHole(laptop)
        laptop.policy(POLICY + "[audit]\nkeep = '300d'\n")
        waking = asyncio.create_task(hand.wake(Reason.FILES))
        await asyncio.wait_for(laptop.place.is_asked.wait(), 60)

        laptop.policy(POLICY.replace("10.10.0.1", "10.10.0.300"))
        hand.files.set()
        await laptop.until(lambda: [one["code"] for one in laptop.status()["conditions"]] == ["policy-error"])

        assert not waking.done()
        assert laptop.status()["network"]["name"] == "office"  # what was last seen
        laptop.place.is_over.set()
        await waking
        assert laptop.status()["network"]["name"] == "elsewhere"
        await hand.wake(Reason.FILES)
        assert laptop.events().count("policy-rejected") == 1


async def test_settings_that_docker_does_not_start_with_are_not_tried_at_every_wake_up(laptop: Laptop) -> None:
    laptop.policy()
    laptop.dockerd.refuses = OFFICE
    async with laptop.running() as hand:
        tried = laptop.dockerd.starts
        assert laptop.dockerd.is_running

        for reason in (Reason.FILES, Reason.NETWORK, Reason.TIMER):
            await hand.wake(reason)

        assert laptop.dockerd.starts == tried
        assert laptop.dockerd.files() == {}
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["quarantined"]
        assert laptop.status()["upstream"]["name"] == "direct"

        await laptop.asks(Command.RELOAD)
        assert laptop.status()["upstream"]["name"] == "office"
        assert laptop.status()["state"] == "deferred"  # docker.min_interval holds for a person's word, too


async def test_what_does_not_get_to_docker_is_tried_once_for_each_settings_and_blames_none_of_them(
    laptop: Laptop,
) -> None:
    laptop.policy()
    laptop.dockerd.gets_instead = Texts(https="http://other:1")
    async with laptop.running() as hand:
        assert laptop.dockerd.starts == 2

        for reason in (Reason.FILES, Reason.NETWORK, Reason.TIMER):
            await hand.wake(reason)

        assert laptop.dockerd.starts == 2
        shown = laptop.status()
        assert [condition["code"] for condition in shown["conditions"]] == ["not-effective"]
        assert "came up and runs with https http://other:1 instead" in shown["conditions"][0]["text"]
        assert shown["docker"]["effective"]["https"] == "http://other:1"
        assert (shown["upstream"]["name"], shown["state"]) == ("office", "failed")

        for gateway in ("10.20.0.1", "10.10.0.1", "10.20.0.1"):
            laptop.place.snapshot = at(gateway)
            await hand.wake()
        assert laptop.dockerd.starts == 3
        assert "rolled-back" not in laptop.events()

        laptop.dockerd.gets_instead = None
        await laptop.asks(Command.APPLY, is_now=True)
        assert laptop.dockerd.runs_with == DIRECT


async def test_who_asks_is_answered_when_there_is_a_choice(laptop: Laptop) -> None:
    laptop.policy()
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="timeout", direct="ok")
    async with laptop.running() as hand:
        asked = asyncio.create_task(laptop.asks(Command.APPLY))
        await until_awaited(10, lambda: laptop.said or asked.done(), "a word")
        assert not asked.done()

        laptop.place.becomes(office="ok")
        await hand.wake(Reason.TIMER)

        answer = await asked
        assert answer.lines[:2] == ("waited: office does not work yet: timeout", "office via office")
        assert laptop.said == ["waits: office does not work yet: timeout"]


async def test_what_docker_runs_with_is_shown_where_nothing_works(laptop: Laptop) -> None:
    laptop.policy()
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="refused", direct="refused")
    async with laptop.running():
        assert laptop.status()["upstream"]["name"] is None
        assert laptop.status()["docker"]["version"] == "26"
        assert laptop.status()["docker"]["effective"] == {"proxy": "direct"}


class Household(NoClients):
    """Alice's file is right, and bob's cannot be written."""

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        def account(name: str) -> Account:
            home = Path("/home", name)
            return Account(name, 1000, 1000, (), home, home / "config.json", may_create=False, found_by=FoundBy.NAMED)

        files = (ClientFile(account("alice")), ClientFile(account("bob"), error="its home is not mounted"))
        return ClientsSeen(Wanted(Intent.SET, ""), files)


async def test_what_stands_in_the_files_is_shown_while_nothing_is_chosen(laptop: Laptop) -> None:
    """People's files as they were when they were last looked at: an error stays one."""

    def shown() -> list[tuple[str, str]]:
        return [(target["name"], target["state"]) for target in laptop.status()["targets"]]

    laptop.policy()
    laptop.place.clients = Household()
    async with laptop.running() as hand:
        right = [("docker.service drop-in", "right"), ("alice", "right"), ("bob", "failed")]
        kept = [("docker.service drop-in", "kept"), ("alice", "kept"), ("bob", "failed")]
        assert shown() == right

        laptop.place.snapshot = Snapshot()
        await hand.wake()
        assert laptop.status()["state"] == "offline"
        assert shown() == kept
        assert laptop.status()["targets"][0]["says"] == laptop.status()["docker"]["effective"]

        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake()
        assert shown() == right

        laptop.paths.policy.unlink()
        await hand.wake(Reason.FILES)
        assert shown() == kept


async def test_a_change_of_method_moves_what_stands_there_and_status_names_no_file_that_is_not(laptop: Laptop) -> None:
    def shown() -> list[tuple[str, str]]:
        return [(target["name"], target["state"]) for target in laptop.status()["targets"]]

    laptop.policy()
    async with laptop.running() as hand:
        restarted = laptop.dockerd.starts
        assert shown() == [("docker.service drop-in", "right")]

        laptop.policy(POLICY + '[docker]\nmethod = "daemon-json"\n')
        await hand.wake(Reason.FILES)
        assert set(laptop.dockerd.files()) == {"daemon.json"}
        assert shown() == [("daemon.json", "right")]

        laptop.policy()
        await hand.wake(Reason.FILES)
        assert set(laptop.dockerd.files()) == {"dockerd.env", "drop-in.conf"}
        assert shown() == [("docker.service drop-in", "right")]
        assert laptop.dockerd.starts == restarted

        laptop.place.snapshot = at("10.20.0.1")
        laptop.policy(POLICY + '[docker]\nmethod = "daemon-json"\n')
        await hand.wake(Reason.FILES)
        assert laptop.dockerd.files() == {}
        assert laptop.dockerd.runs_with == DIRECT
        assert shown() == []
    assert "drift-corrected" not in laptop.events()


async def test_every_record_of_a_pass_names_it(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        pass

    records = [json.loads(line) for line in laptop.paths.audit_log.read_text().splitlines()]
    restarted = next(record for record in records if record["event"] == "docker-restarted")
    begun = [record["pass"] for record in records if record["event"] == "apply-started"]
    assert restarted["pass"] == begun[-1] != ""


async def test_why_a_method_is_taken_is_in_the_record_of_what_is_begun(laptop: Laptop) -> None:
    laptop.dockerd.version = 20
    await laptop.dockerd.start()
    laptop.policy()
    async with laptop.running():
        pass

    records = [json.loads(line) for line in laptop.paths.audit_log.read_text().splitlines()]
    begun = next(record["facts"] for record in records if record["event"] == "apply-started")
    assert begun["method"] == "systemd-drop-in"
    assert begun["method_because"] == "this Docker 20 does not support proxies in daemon.json"


async def test_containers_that_did_not_run_on_are_said_until_a_person_has_seen_it(laptop: Laptop) -> None:
    (laptop.dockerd.root / "etc/daemon.json").write_text('{"live-restore": true}')
    laptop.dockerd.live_restore, laptop.dockerd.containers, laptop.dockerd.loses = True, 2, 1
    laptop.policy('[docker]\nrestart = "always"\n' + POLICY)

    def lost() -> list[str]:
        return [one["text"] for one in laptop.status()["conditions"] if one["code"] == "containers-lost"]

    async with laptop.running() as hand:
        await hand.wake()
        assert lost() == ["1 container should have survived the restart of Docker, but did not: container-1"]
        assert laptop.status()["docker"]["last_kept"] == 1
        assert laptop.status()["state"] == "steady"

        await laptop.asks(Command.RELOAD)

        assert lost() == []


async def test_one_failed_probe_is_no_reason_to_move(laptop: Laptop) -> None:
    laptop.policy()
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="ok refused ok", direct="ok")
    async with laptop.running() as hand:
        await hand.wake()

        assert laptop.dockerd.runs_with == OFFICE
        assert laptop.dockerd.starts == 2
        assert hand.next_at is not None


async def test_a_proxy_on_this_host_is_held_while_it_is_in_use_and_its_end_is_a_reason_to_ask(laptop: Laptop) -> None:
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="ok refused refused", direct="ok")
    on_this_host = POLICY.replace('"http://office:3128"', '"http://127.0.0.1:7890"\nowner = "proxy"')
    laptop.policy(on_this_host + '[probe]\nrecheck = "0s"\n')

    async with laptop.running() as hand:
        assert hand.held == ({LocalProxy("127.0.0.1", 7890, "proxy")}, 60.0)
        asked = len(laptop.place.asked)
        await hand.wake(Reason.PROXY)
        assert laptop.place.asked[asked:][0] == "office"
        assert hand.held[0] == {LocalProxy("127.0.0.1", 7890, "proxy")}  # one failure is none yet
        assert hand.next_at is not None  # and it is asked again soon, though nothing else makes a timer

        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()

        assert laptop.status()["upstream"]["name"] == "direct"
        assert hand.held[0] == set()


async def test_a_proxy_by_a_name_that_is_loopback_here_is_held_too(laptop: Laptop) -> None:
    laptop.place.here = {"office": ("127.0.1.1",)}
    laptop.policy()

    async with laptop.running() as hand:
        assert hand.held[0] == {LocalProxy("127.0.1.1", 3128)}


@pytest.mark.parametrize("here", [(), ("127.0.1.1",)])
async def test_an_app_by_a_name_that_is_loopback_here_is_tried_by_a_bare_connect(
    laptop: Laptop, here: tuple[str, ...]
) -> None:
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="refused", direct="ok")
    laptop.place.here = {"office": here}
    laptop.policy()

    async with laptop.running() as hand:
        assert laptop.status()["upstream"]["name"] == "direct"
        assert hand.next_at is not None
        soon = hand.next_at - SYSTEM_CLOCK.boottime_s() < 6

    assert soon is bool(here)


async def test_a_proxy_elsewhere_is_not_held(laptop: Laptop) -> None:
    laptop.policy()

    async with laptop.running() as hand:
        assert hand.held[0] == set()


async def test_a_pin_holds_through_a_move_and_a_restart_of_the_agent(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        answer = await laptop.asks(Command.PIN, upstream="direct")

        assert answer.exit == 0
        assert answer.lines[:2] == ("pinned to direct", "office, direct")
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["pinned"]
        assert "pinned" in laptop.events()
    laptop.hand = Hand()
    async with laptop.running():
        assert laptop.status()["upstream"]["name"] == "direct"

        assert (await laptop.asks(Command.UNPIN)).lines[0] == "no longer pinned to direct"
        assert laptop.status()["upstream"]["name"] == "office"


async def test_a_pin_whose_time_is_over_was_not_taken_back_by_the_person_who_asks_then(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        await laptop.asks(Command.PIN, upstream="direct", for_s=1e-6)

        assert (await laptop.asks(Command.UNPIN)).lines[0] == "nothing was pinned"
    (unpinned,) = (record for record in laptop.records() if record["event"] == "unpinned")
    assert unpinned["facts"]["because"] == "its time is over"


async def test_the_record_of_a_wish_names_the_pass_that_follows(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        await laptop.asks(Command.PIN, upstream="direct")
    (pinned,) = (record for record in laptop.records() if record["event"] == "pinned")
    (chosen,) = (
        record
        for record in laptop.records()
        if record["event"] == "upstream-chosen" and "previous_upstream" in record["facts"]
    )
    assert pinned["trigger"] == "pin"
    assert pinned["pass"] == chosen["pass"] != ""
    assert pinned["by"] == chosen["by"] == {"via": "control", "uid": 0, "login_uid": 1000, "claimed": "alice"}


async def test_what_happened_by_itself_is_nobodys_order_and_what_a_reload_read_is(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        laptop.dockerd._boot()
        laptop.policy(f'{POLICY}\n[audit]\nkeep = "30d"\n')
        await laptop.asks(Command.RELOAD)
    records = {record["event"]: record for record in laptop.records()}

    assert records["docker-started"]["facts"]["cause"] == "others"
    assert "by" not in records["docker-started"]
    assert records["policy-loaded"]["by"] == records["requested"]["by"]
    assert records["policy-loaded"]["pass"] == records["docker-started"]["pass"] == records["requested"]["pass"]


async def test_with_places_by_name_the_log_does_not_tell_where_they_are(laptop: Laptop) -> None:
    laptop.policy(f'{POLICY}\n[audit]\nplaces = "names"\n')
    async with laptop.running() as hand:
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()
    (started,), (changed,) = laptop.facts("agent-started"), laptop.facts("network-changed")

    assert (started["network"], changed["network"]) == ("office", "elsewhere")
    assert started["place"] != changed["place"]
    assert changed["is_new"] is True
    text = laptop.paths.audit_log.read_text()
    assert not [told for told in ("10.20.0.", "10.10.0.", '"fingerprint"', '"interfaces"') if told in text]


async def test_a_wish_without_an_event_of_its_own_is_recorded_and_a_signal_names_nobody(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        await laptop.asks(Command.APPLY, is_now=True)
        laptop.service.reload()
        await hand.wake()
        records = [record for record in laptop.records() if record["event"] == "requested"]

    said = [(record["trigger"], record["facts"], record["by"]["via"]) for record in records]
    assert said == [
        ("apply", {"command": "apply", "options": ["now"]}, "control"),
        ("reload", {"command": "reload", "options": []}, "signal"),
    ]
    assert records[1]["by"] == {"via": "signal"}
    assert records[0]["pass"] != records[1]["pass"] != ""


async def test_what_a_pac_names_is_pinned_by_the_pac(laptop: Laptop) -> None:
    laptop.policy('[upstream.corp]\npac = "http://wpad.corp.example/wpad.dat"\n')
    async with laptop.running():
        answer = await laptop.asks(Command.PIN, upstream="corp → a:8080")

    how = "Try: docker-proxy-agent pin corp. Or give this proxy an [upstream.NAME] of its own"
    assert answer == Answer(1, (f'pin: "corp → a:8080" cannot be pinned: a PAC file names it, and may change. {how}',))


async def test_a_name_that_the_policy_does_not_have_cannot_be_pinned(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running():
        answer = await laptop.asks(Command.PIN, upstream="offcie")

    assert answer == Answer(
        1, ('pin: the policy has no upstream "offcie"; did you mean "office"? It has direct, office',)
    )
    assert "pinned" not in laptop.events()


async def test_paused_it_only_says_what_it_would_do(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        await laptop.asks(Command.PAUSE)
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()

        assert laptop.dockerd.runs_with == OFFICE
        assert laptop.status()["state"] == "idle"
        assert laptop.status()["network"]["name"] == "elsewhere"
        assert [target["state"] for target in laptop.status()["targets"]] == ["pending"]

        await laptop.asks(Command.RESUME)
        assert laptop.dockerd.runs_with == DIRECT
        assert [target["state"] for target in laptop.status()["targets"]] == ["right"]
    chosen = laptop.facts("upstream-chosen")
    assert [facts.get("withheld") for facts in chosen[:2]] == [None, "the agent is paused: nothing is written"]


async def test_an_apply_that_must_wait_its_turn_says_so_and_waits(laptop: Laptop) -> None:
    laptop.policy(POLICY + '[docker]\nmin_interval = "300ms"\n')
    async with laptop.running() as hand:
        await laptop.asks(Command.PIN, upstream="direct")
        asking = asyncio.create_task(laptop.asks(Command.APPLY))
        while not asking.done():
            await asyncio.sleep(0.05)
            await hand.wake(Reason.TIMER)

        assert laptop.dockerd.runs_with == DIRECT
        assert asking.result().exit == 0


async def test_foreign_changes_are_put_right_and_given_up_in_the_end(laptop: Laptop) -> None:
    laptop.policy()
    environment = laptop.dockerd.root / "etc/dockerd.env"
    # Of the root's own accounts; the system's are none of its business.
    (laptop.paths.root / "etc/passwd").write_text(f"landlady:x:{os.geteuid()}:0::/:/bin/sh\n")
    async with laptop.running() as hand:
        ours, starts = environment.read_text(), laptop.dockerd.starts
        for _ in range(4):
            environment.write_text(ours.replace("office", "elsewhere"))
            await hand.wake(Reason.FILES)
            assert environment.read_text() == ours
        assert laptop.events().count("drift-corrected") == 4
        ours_and_theirs = {
            (facts["password_before"], facts["password_after"]) for facts in laptop.facts("drift-corrected")
        }
        ((before, after),) = ours_and_theirs  # four times the same
        assert before != after
        assert {len(before), len(after)} == {16}
        assert laptop.dockerd.starts == starts

        environment.write_text(ours.replace("office", "elsewhere"))
        for _ in range(2):
            await hand.wake(Reason.FILES)
        assert "elsewhere" in environment.read_text()
        assert laptop.events().count("gave-up") == 1
        (condition,) = laptop.status()["conditions"]
        assert condition["code"] == "gave-up"
        assert condition["target"] == str(environment)
        assert condition["text"].startswith("somebody (the file is landlady's)")
        assert condition["text"].endswith(" changed the agent's keys 5 times in 10 min; the agent leaves them alone")

        await laptop.asks(Command.RELOAD)
        assert environment.read_text() == ours


async def test_foreign_changes_are_counted_while_something_else_is_to_be_said(laptop: Laptop) -> None:
    laptop.policy()
    environment = laptop.dockerd.root / "etc/dockerd.env"
    (laptop.dockerd.root / "etc/daemon.json").write_text("{,}")
    async with laptop.running() as hand:
        ours = environment.read_text()
        assert [condition["code"] for condition in laptop.status()["conditions"]] == ["foreign-config-broken"]
        for _ in range(4):
            environment.write_text(ours.replace("office", "elsewhere"))
            await hand.wake(Reason.FILES)
            assert environment.read_text() == ours
        environment.write_text(ours.replace("office", "elsewhere"))
        await hand.wake(Reason.FILES)

    assert "elsewhere" in environment.read_text()
    assert laptop.events().count("drift-corrected") == 4
    assert laptop.events().count("gave-up") == 1


async def test_neighbours_are_followed_while_the_gateways_mac_is_missing(laptop: Laptop) -> None:
    by_mac = POLICY.replace('gateway = ["10.10.0.1"]', 'gateway_mac = ["02:00:0a:0a:00:01"]')
    laptop.policy(by_mac)
    async with laptop.running() as hand:
        followed = [hand.are_neighbours_followed]
        assert laptop.status()["network"]["name"] == "elsewhere"

        (wlan0,) = at("10.10.0.1").interfaces
        laptop.place.snapshot = Snapshot((msgspec.structs.replace(wlan0, gateway_macs=("02:00:0a:0a:00:01",)),))
        await hand.wake()

        followed.append(hand.are_neighbours_followed)
        assert laptop.status()["network"]["name"] == "office"

        laptop.policy()
        laptop.place.snapshot = at("10.10.0.1")
        await hand.wake(Reason.FILES)
        assert [*followed, hand.are_neighbours_followed] == [True, False, False]  # in the end nothing asks for a MAC


async def test_what_only_stirs_the_network_asks_nobody(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        asked = list(laptop.place.asked)
        for _ in range(20):
            await hand.wake(Reason.NETWORK)

        assert laptop.place.asked == asked


async def test_a_virtual_machine_that_starts_is_no_reason_to_send_a_refused_password(
    laptop: Laptop, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    with_password = 'url = "http://office:3128"\nusername = "alice"\npassword_file = "/secret"'
    laptop.policy(POLICY.replace('url = "http://office:3128"', with_password))
    there = msgspec.structs.replace(at("10.10.0.1"), way_ipv4=Way("wlan0", "10.10.0.1"))
    laptop.place = Place(there, laptop.dockerd, office="proxy-auth", direct="ok")
    async with laptop.running() as hand:
        before = laptop.status()["network"]["fingerprint"]
        bridge = Interface("incusbr0", ipv4=("10.158.3.1/24",))
        laptop.place.snapshot = msgspec.structs.replace(there, interfaces=(bridge, *there.interfaces))
        await hand.wake()
        assert laptop.status()["network"]["fingerprint"] != before
        assert laptop.place.asked.count("office") == 1


async def test_a_password_that_was_refused_is_not_sent_again(laptop: Laptop, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    with_password = 'url = "http://office:3128"\nusername = "alice"\npassword_file = "/secret"'
    laptop.policy(POLICY.replace('url = "http://office:3128"', with_password))
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="proxy-auth", direct="ok")
    async with laptop.running() as hand:
        assert laptop.place.asked.count("office") == 1
        await hand.wake(Reason.RESUME)
        assert laptop.place.asked.count("office") == 1
    laptop.hand = Hand()
    async with laptop.running():
        assert laptop.place.asked.count("office") == 1

        secret.write_text("hunter3\n")
        await laptop.hand.wake(Reason.FILES)
        assert laptop.place.asked.count("office") == 2

        await laptop.asks(Command.RELOAD)
        assert laptop.place.asked.count("office") == 3


async def test_a_policy_is_in_force_also_where_nothing_of_it_can_be_kept(laptop: Laptop, tmp_path: Path) -> None:
    """Such as on a full disk: what was refused before cannot be forgotten there."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    with_password = 'url = "http://office:3128"\nusername = "alice"\npassword_file = "/secret"'
    laptop.policy(POLICY.replace('url = "http://office:3128"', with_password))
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office="proxy-auth", direct="ok", other="ok")
    async with laptop.running() as hand:
        refused = laptop.paths.state / "refused-passwords.json"
        refused.unlink()
        refused.mkdir()
        laptop.policy('[upstream.other]\nurl = "http://other:3128"\n[[network]]\nuse = ["other"]\n')
        for _ in range(2):
            await hand.wake(Reason.FILES)

        assert laptop.status()["upstream"]["name"] == "other"
        assert "target-failed" in laptop.events()


async def test_systemd_is_told(laptop: Laptop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    laptop.policy()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        async with laptop.running():
            told = _told(systemd)
            assert "READY=1" in told
            assert "WATCHDOG=1" in told
            assert any(line.startswith("STATUS=steady: office via office, since ") for line in told)
        assert _told(systemd)[-1] == "STOPPING=1"


def _told(systemd: socket.socket) -> list[str]:
    lines: list[str] = []
    while True:
        try:
            lines.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return lines

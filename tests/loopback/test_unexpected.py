"""Exceptions that nobody expected: each costs the pass or the target that it came from, never the service."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from agent.audit.log import AuditLog
from agent.audit.logs import Form, configure
from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.clients.clients import ClientFile, ClientsSeen
from agent.clients.homes import Homes
from agent.decide.backoff import again_s
from agent.service.lifetime import Lifetime
from agent.service.requests import Command
from agent.service.service import Service
from agent.service.watch.unwatched import Unwatched
from agent.system.notify import Notify
from agent.values.dockerd import Phase
from agent.values.events import WentOffline
from agent.values.policy import Upstream
from agent.values.reason import Reason
from agent.values.settings import DIRECT, Settings
from agent.values.snapshot import Snapshot

from .test_bounded_work import people
from .test_clients import LOGGED_IN, People
from .test_clients import OFFICE as THROUGH_OFFICE
from .test_reconcile import OFFICE, NoClients, Place, at
from .test_service import Hand, Laptop

__all__ = ["people"]  # the fixture

SECRET = "Zecret9"


class Broken(Exception):
    """Says more than anybody may read."""

    def __init__(self) -> None:
        super().__init__(f"http://alice:{SECRET}@proxy.corp.example")


class Breaking(Place):
    """A place in which one thing is broken, as long as it is named."""

    broken = ""

    def _break(self, what: str) -> None:
        if self.broken == what:
            raise Broken

    async def see(self) -> Snapshot:
        self._break("see")
        return await super().see()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure(form=Form.JSON, stream=stream)
    yield stream
    configure()


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    laptop = Laptop(tmp_path)
    laptop.place = Breaking(at("10.10.0.1"), laptop.dockerd, office="ok", direct="ok")
    laptop.policy()
    return laptop


def codes(laptop: Laptop) -> list[str]:
    return [condition["code"] for condition in laptop.status()["conditions"]]


async def test_a_pass_that_breaks_is_said_and_tried_again_and_the_last_picture_stays(
    laptop: Laptop, log: io.StringIO
) -> None:
    place = laptop.place
    assert isinstance(place, Breaking)
    async with laptop.running() as hand:
        good = laptop.status()
        place.broken, place.snapshot = "see", at("10.20.0.1")
        for wait in (5, 10, 20):
            woken_at = time.clock_gettime(time.CLOCK_BOOTTIME)
            await hand.wake()
            assert hand.next_at is not None
            assert woken_at <= hand.next_at - wait <= time.clock_gettime(time.CLOCK_BOOTTIME)

        shown = laptop.status()
        assert shown["state"] == "failed"
        (condition,) = shown["conditions"]
        assert condition["code"] == "internal-error"
        assert "Broken" in condition["text"]
        assert "the rest of this status is from 20" in condition["text"]
        of_this_failure: dict[str, Any] = {"state": "", "conditions": [], "last": [], "at": ""}
        assert {**shown, **of_this_failure} == {**good, **of_this_failure}
        assert laptop.events().count("target-failed") == 1
        answer = await laptop.asks(Command.APPLY)
        assert answer.exit == 1
        assert "Broken" in answer.lines[-1]

        place.broken = ""
        await hand.wake()
        assert laptop.dockerd.runs_with == DIRECT
        assert laptop.status()["state"] == "steady"
        assert codes(laptop) == []
    everything = log.getvalue() + laptop.paths.audit_log.read_text() + laptop.paths.status.read_text()
    assert SECRET not in everything
    tracebacks = [json.loads(line) for line in log.getvalue().splitlines() if "Traceback" in line]
    assert [told["event"] for told in tracebacks] == ["internal-error"]
    assert "test_unexpected.py" in tracebacks[0]["exception"]


async def test_a_first_pass_that_breaks_does_not_look_like_a_missing_policy(laptop: Laptop) -> None:
    assert isinstance(laptop.place, Breaking)
    laptop.place.broken = "see"
    async with laptop.running():
        assert laptop.status()["state"] == "failed"
        assert codes(laptop) == ["internal-error"]


@pytest.mark.parametrize(
    ("left", "then"),
    [
        pytest.param(Phase.BROKEN, DIRECT, id="dockerd-was-down"),
        pytest.param(Phase.RUNNING, OFFICE, id="dockerd-was-not-touched"),
    ],
)
async def test_what_broke_in_the_middle_of_a_restart_is_finished_by_the_next_pass(
    laptop: Laptop, left: Phase, then: Settings
) -> None:
    """As after a crash: the journal says what is to be done."""
    daemon, breaks = laptop.dockerd, [True]

    def break_once() -> None:
        if breaks:
            breaks.clear()
            daemon.phase = left
            raise Broken

    daemon.before_it_starts = break_once
    async with laptop.running() as hand:
        assert codes(laptop) == ["internal-error"]
        assert hand.next_at is not None

        await hand.wake(Reason.TIMER)
        assert daemon.is_running
        assert daemon.runs_with == then
        assert daemon.under_way().is_over
        assert "internal-error" not in codes(laptop)


class BreakingClients:
    """What breaks is no file of anybody's, but all of it."""

    def __init__(self, breaks: str, seen: ClientsSeen) -> None:
        self._breaks, self._seen = breaks, seen

    def one_pass(self) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    async def recover(self) -> None:
        """There is nothing to clear away."""

    async def let_go(self) -> None:
        """Nothing is under way."""

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        if self._breaks == "look":
            raise Broken
        return self._seen

    async def carry_out(self, seen: ClientsSeen, record: Record) -> Sequence[ClientFile]:
        raise Broken


@pytest.mark.parametrize("breaks", ["look", "carry_out"])
async def test_clients_that_break_cost_dockerd_nothing(laptop: Laptop, people: People, breaks: str) -> None:
    people.add("alice", LOGGED_IN)
    seen = await people.clients().look(THROUGH_OFFICE)
    laptop.place.clients = BreakingClients(breaks, seen)  # type: ignore[assignment]
    async with laptop.running():
        assert laptop.dockerd.runs_with == OFFICE
        assert laptop.status()["docker"]["effective"]["http"] == "http://office:3128"
        if breaks == "look":
            assert codes(laptop) == ["internal-error"]
            assert laptop.status()["state"] == "steady"  # an account without rights cannot make it look broken
        else:
            errors = {target["name"]: target["error"] for target in laptop.status()["targets"]}
            assert "Broken" in errors["alice"]
    assert SECRET not in laptop.paths.audit_log.read_text() + laptop.paths.status.read_text()


async def test_a_file_that_breaks_costs_nobody_else_and_is_tried_again_later_each_time(people: People) -> None:
    alice, bob = people.add("alice", LOGGED_IN), people.add("bob", LOGGED_IN)
    homes = BreakingHomes(alice)
    clients = people.clients(homes)  # type: ignore[arg-type]

    seen, _ = await people.passed(THROUGH_OFFICE, clients)

    assert "office" in bob.read_text()
    assert "office" not in alice.read_text()
    assert [(condition.code.value, condition.target) for condition in seen.conditions] == [
        ("internal-error", str(alice))
    ]
    assert SECRET not in str(seen.conditions)

    homes.is_broken = False
    seen, _ = await people.passed(THROUGH_OFFICE, clients)
    assert "office" not in alice.read_text()
    assert homes.asked.count(alice) == 1  # not before its time

    seen, _ = await people.passed(THROUGH_OFFICE, people.clients())
    assert "office" in alice.read_text()
    assert seen.conditions == ()


class BreakingHomes:
    """One file of which breaks whoever reads it."""

    def __init__(self, file: Path) -> None:
        self._file, self._homes, self.is_broken = file, Homes(), True
        self.asked: list[Path] = []

    async def read(self, account: Any, path: Path) -> Any:
        self.asked.append(path)
        if path == self._file and self.is_broken:
            raise Broken
        return await self._homes.read(account, path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._homes, name)


@pytest.mark.parametrize(
    ("failures", "waits_s"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (8, 300), (10**9, 300)]
)
def test_it_is_tried_again_later_each_time(failures: int, waits_s: float) -> None:
    assert again_s(failures) == waits_s


def test_the_error_names_type_and_place_and_not_what_the_exception_says() -> None:
    try:
        "\udc80".encode()
    except UnicodeEncodeError as error:
        shown = str(unexpected("status.json", error))

    assert shown.startswith("status.json: ended by an unexpected error: UnicodeEncodeError at ")
    assert "udc80" not in shown


def test_what_the_system_said_is_said() -> None:
    assert "OSError (Too many open files)" in str(unexpected("x", OSError(24, "Too many open files", "/secret")))
    assert "/secret" not in str(unexpected("x", OSError(24, "Too many open files", "/secret")))


# How it ended.


def records(laptop: Laptop, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in laptop.paths.audit_log.read_text().splitlines()]
    return [record["facts"] for record in lines if record["event"] == event]


class BreaksWhenReady(Notify):
    def ready(self) -> None:
        raise Broken


async def test_an_end_by_an_exception_is_recorded_as_what_it_was_and_the_next_start_says_so(laptop: Laptop) -> None:
    service = Service(laptop.paths, laptop.paths.policy, laptop.hand, BreaksWhenReady(), laptop.world)
    with pytest.raises(Broken):
        await service.run()

    (stopped,) = records(laptop, "agent-stopped")
    assert stopped["because"] == "ended by an unexpected error: Broken"
    async with laptop.running():
        assert records(laptop, "agent-started")[-1]["last_ended"] == stopped["because"]
    async with running_again(laptop):
        assert records(laptop, "agent-started")[-1]["last_ended"] == "told to stop"
    assert records(laptop, "agent-stopped")[-1]["because"] == "told to stop"


@pytest.mark.parametrize("has_log", [False, True], ids=["no-log", "a-log"])
async def test_a_start_after_a_kill_says_so(laptop: Laptop, has_log: bool) -> None:
    Lifetime(laptop.paths.state).begin()
    if has_log:
        then = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=90)
        log = AuditLog(laptop.paths.audit_log, laptop.paths.state, clock=lambda: then)
        Record(log)(WentOffline())
    async with laptop.running():
        started = records(laptop, "agent-started")[-1]
    assert started["last_ended"] == "was killed, or crashed"
    assert (90 <= started["gap_s"] < 120) if has_log else "gap_s" not in started


def running_again(laptop: Laptop) -> Any:
    laptop.hand = Hand()
    return laptop.running()


# What nothing tells of.


async def test_what_cannot_be_watched_is_said_and_looked_at_by_the_clock(laptop: Laptop) -> None:
    laptop.policy(laptop.paths.policy.read_text() + '[probe]\nrecheck = "7s"\n')
    async with laptop.running() as hand:
        assert codes(laptop) == []
        hand.unwatched = Unwatched({Path("/etc/docker"): "inotify watch limit reached"}, "fs.inotify.max_user_watches")
        await hand.wake()
        assert codes(laptop) == ["files-unwatched"]
        (condition,) = laptop.status()["conditions"]
        assert "/etc/docker" in condition["text"]
        assert "fs.inotify.max_user_watches" in condition["remedy"]
        assert hand.next_at is not None
        assert hand.next_at <= time.clock_gettime(time.CLOCK_BOOTTIME) + 7

        laptop.paths.policy.unlink()
        await hand.wake(Reason.TIMER)
        assert "no-policy" in codes(laptop)


# Each part by itself.


async def test_a_pass_that_works_says_nothing_of_what_is_under_way(laptop: Laptop) -> None:
    """A journal that cannot be parsed holds everything, and is said for as long."""
    laptop.dockerd.agent_state.mkdir(exist_ok=True)
    async with laptop.running() as hand:
        journal = laptop.dockerd.agent_state / "journal.json"
        journal.write_text("{")
        laptop.place.snapshot = at("10.20.0.1")
        for _ in range(2):
            await hand.wake()

            assert laptop.dockerd.runs_with == OFFICE
            assert laptop.status()["state"] == "failed"
            assert [(one["code"], one["target"]) for one in laptop.status()["conditions"]] == [
                ("target-failed", str(journal))
            ]
        assert (await laptop.asks(Command.APPLY)).exit == 1
        assert laptop.events().count("target-failed") == 1

        journal.unlink()
        await hand.wake()
        assert laptop.dockerd.runs_with == DIRECT
        assert codes(laptop) == []


@pytest.mark.parametrize("policy", ["x = " + "1" * 5000, "x" + ".x" * 5000 + " = 1"])
async def test_a_policy_that_breaks_who_reads_it_is_refused_and_said(laptop: Laptop, policy: str) -> None:
    async with laptop.running() as hand:
        laptop.policy(f"{policy}\n")
        await hand.wake(Reason.FILES)

        assert codes(laptop) == ["policy-error"]
        assert (await laptop.asks(Command.RELOAD)).exit == 1
        assert laptop.dockerd.runs_with == OFFICE


@pytest.mark.parametrize("ends", ["pause", "policy"])
async def test_what_is_still_being_written_ends_with_a_pause_and_with_its_policy(laptop: Laptop, ends: str) -> None:
    laptop.place.clients = clients = Outgoing()
    async with laptop.running() as hand:
        before = clients.let_go_of
        if ends == "pause":
            await laptop.asks(Command.PAUSE)
        else:
            laptop.policy(laptop.paths.policy.read_text() + "[docker]\nmin_interval = '1s'\n")
            await hand.wake(Reason.FILES)
        assert clients.let_go_of > before


class Outgoing(NoClients):
    def __init__(self) -> None:
        self.let_go_of = 0

    async def let_go(self) -> None:
        self.let_go_of += 1

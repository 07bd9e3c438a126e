"""Homes that keep one waiting: what that costs is theirs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.clients.bounded_work import BoundedWork, Work
from agent.clients.homes import Homes
from agent.system.clock import SystemClock
from agent.values.errors import AgentError, HomeSilent

from .test_clients import LOGGED_IN, OFFICE, People

ALICE, BOB = Path("alice"), Path("bob")
WITHIN_S = 60.0


class Words:
    def failed(self, path: Path, error: AgentError) -> str:
        return f"{path} failed: {error.what}"

    def late(self, path: Path) -> str:
        return f"{path} is late"


class Job:
    """Ends when it is told to, and counts how often it was begun."""

    def __init__(self, says: str | Exception) -> None:
        self.says, self.begun = says, 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        await asyncio.wait_for(self.may_end.wait(), 60)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def prompt(says: str) -> Work[str]:
    job = Job(says)
    job.may_end.set()
    return work(job)


def work(job: Job) -> Work[str]:
    return Work(job.says, job)


async def test_who_does_not_come_is_not_waited_for_and_tells_when_it_has_come() -> None:
    told, afterwards = asyncio.Event(), list[str]()
    bounded = BoundedWork[str](Words(), 0.05, told.set)
    slow = Job("alice")

    shown = await bounded.each({ALICE: work(slow), BOB: prompt("bob")}, afterwards.append)
    assert shown == ["alice is late", "bob"]
    assert await bounded.each({ALICE: work(slow), BOB: prompt("bob")}) == shown
    assert slow.begun == 1  # no second one beside it

    slow.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)
    assert afterwards == ["alice"]
    assert await bounded.each({ALICE: work(slow)}) == ["alice"]


async def test_who_gave_no_answer_is_left_out_for_a_while_and_then_not_waited_for() -> None:
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), WITHIN_S, told.set)
    silent = Job(HomeSilent("alice", "no answer"))
    silent.may_end.set()
    assert await bounded.each({ALICE: work(silent)}) == ["alice failed: no answer"]

    assert await bounded.each({ALICE: work(silent)}) == ["alice failed: no answer"]
    assert silent.begun == 1


async def test_what_came_late_is_taken_by_who_asks_for_the_same_and_tells_no_more() -> None:
    """Else each look would be told of by the one before it, for ever."""
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), 0.05, told.set)
    slow = Job("alice")
    assert await bounded.each({ALICE: work(slow)}) == ["alice is late"]
    slow.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)
    told.clear()

    assert await bounded.each({ALICE: work(slow)}) == ["alice"]
    assert slow.begun == 1
    await asyncio.sleep(0.1)
    assert not told.is_set()


async def test_who_takes_long_each_time_is_waited_for_once() -> None:
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), 0.5, told.set)
    await bounded.each({ALICE: work(slow := Job("looked"))})
    slow.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)
    began = asyncio.get_running_loop().time()

    assert await bounded.each({ALICE: work(Job("written"))}, lambda _: None) == ["alice is late"]

    assert asyncio.get_running_loop().time() < began + 0.4


WAITS_S = 0.5


async def waited_s(bounded: BoundedWork[str], told: asyncio.Event, *, acts: bool) -> float:
    """How long a pass waited for a work that takes longer than that. It has ended then."""
    slow, now = Job("slow"), asyncio.get_running_loop().time
    began = now()
    afterwards = (lambda _: None) if acts else None
    assert await bounded.each({ALICE: work(slow)}, afterwards) == ["alice is late"]
    waited = now() - began
    await asyncio.sleep(max(0.0, began + 1.2 * WAITS_S - now()))
    told.clear()
    slow.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)
    return waited


async def test_a_quick_read_does_not_forgive_a_slow_write() -> None:
    """Else who stops his helper at each write, and at no read, holds up each move."""
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), WAITS_S, told.set)
    waited = list[float]()
    for _ in range(3):
        assert await bounded.each({ALICE: prompt("read")}) == ["read"]
        waited.append(await waited_s(bounded, told, acts=True))

    assert waited[0] >= 0.9 * WAITS_S
    assert max(waited[1:]) < 0.9 * WAITS_S


async def test_who_is_slow_at_every_other_read_is_forgiven_once() -> None:
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), WAITS_S, told.set)
    waited = list[float]()
    for _ in range(4):
        waited.append(await waited_s(bounded, told, acts=False))
        assert await bounded.each({ALICE: prompt("read")}) == ["read"]

    assert min(waited[:2]) >= 0.9 * WAITS_S  # the first time may have been the moment
    assert max(waited[2:]) < 0.9 * WAITS_S


async def test_what_came_late_for_something_else_is_not_taken() -> None:
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), 0.05, told.set)
    slow = Job("through the office")
    await bounded.each({ALICE: work(slow)})
    slow.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)

    assert await bounded.each({ALICE: prompt("through nothing")}) == ["through nothing"]


async def test_what_came_hours_ago_is_asked_for_anew() -> None:
    """Told while the laptop was offline: nobody looked then, and the file may be another by now."""

    class Later(SystemClock):
        hours = 0.0

        def boottime_s(self) -> float:
            return self.hours * 3600 + super().boottime_s()

    told, clock = asyncio.Event(), Later()
    bounded = BoundedWork[str](Words(), 0.05, told.set, clock)
    slow = Job("as it was")
    await bounded.each({ALICE: work(slow)})
    slow.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)
    clock.hours = 8
    now = Job("as it is")
    now.may_end.set()

    assert await bounded.each({ALICE: Work(slow.says, now)}) == ["as it is"]


async def test_who_is_left_out_tells_nobody() -> None:
    told = asyncio.Event()
    bounded = BoundedWork[str](Words(), 0.05, told.set)
    silent = Job(HomeSilent("alice", "no answer"))
    assert await bounded.each({ALICE: work(silent)}) == ["alice is late"]
    silent.may_end.set()
    await asyncio.wait_for(told.wait(), WITHIN_S)
    assert await bounded.each({ALICE: work(silent)}) == ["alice failed: no answer"]
    told.clear()

    assert await bounded.each({ALICE: prompt("alice")}) == ["alice failed: no answer"]
    assert not told.is_set()


async def test_what_still_changes_something_ends_when_it_is_let_go_of() -> None:
    done: list[str] = []
    bounded = BoundedWork[str](Words(), 0.05, lambda: None)
    writing, reading = Job("written"), Job("read")
    await bounded.each({ALICE: work(writing)}, done.append)
    await bounded.each({BOB: work(reading)})

    await bounded.let_go()
    writing.may_end.set()
    reading.may_end.set()
    await asyncio.sleep(0.1)

    assert done == []
    assert await bounded.each({BOB: work(reading)}) == ["read"]


async def test_a_command_waits_for_all() -> None:
    bounded = BoundedWork[str](Words(), None, lambda: None)
    slow = Job("alice")
    asyncio.get_running_loop().call_later(0.2, slow.may_end.set)

    assert await bounded.each({ALICE: work(slow)}) == ["alice"]


async def test_who_stops_waiting_leaves_nobody_behind() -> None:
    bounded = BoundedWork[str](Words(), None, lambda: None)
    slow = Job("alice")
    each = asyncio.create_task(bounded.each({ALICE: work(slow)}))
    await asyncio.sleep(0.05)

    each.cancel()
    with pytest.raises(asyncio.CancelledError):
        await each

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def people(tmp_path: Path) -> People:
    folder = tmp_path / "people"
    folder.mkdir()
    return People(folder)


async def test_a_user_who_stops_her_helper_costs_nobody_else_anything(people: People) -> None:
    """And her file is written when she lets it."""
    hers, his = people.add("alice", LOGGED_IN), people.add("bob", LOGGED_IN)
    told, homes = asyncio.Event(), Stopped(hers)
    clients = people.clients(homes, told=told.set)  # type: ignore[arg-type]

    async def passes_until(*files: Path) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                told.clear()
                seen, done = await people.passed(OFFICE, clients)
                late = {one.name for one in (*seen.files, *done) if one.is_late}
                assert late >= ({"alice"} if homes.is_stopped else set())
                if all(map(goes_through_office, files)) and late == ({"alice"} if homes.is_stopped else set()):
                    return
                await told.wait()

    await passes_until(his)
    assert not goes_through_office(hers)
    homes.goes_on()
    await passes_until(his, hers)
    assert homes.most_at_once == 1


def goes_through_office(file: Path) -> bool:
    return "office" in file.read_text()


class Stopped:
    """The homes, and one file whose helper gives no answer before it may."""

    def __init__(self, file: Path) -> None:
        self._file, self._homes = file, Homes()
        self._may_go_on = asyncio.Event()
        self._at_once = self.most_at_once = 0

    @property
    def is_stopped(self) -> bool:
        return not self._may_go_on.is_set()

    def goes_on(self) -> None:
        self._may_go_on.set()

    async def read(self, account: object, path: Path) -> object:
        if path != self._file:
            return await self._homes.read(account, path)  # type: ignore[arg-type]
        self._at_once += 1
        self.most_at_once = max(self._at_once, self.most_at_once)
        try:
            await asyncio.wait_for(self._may_go_on.wait(), 60)
            return await self._homes.read(account, path)  # type: ignore[arg-type]
        finally:
            self._at_once -= 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._homes, name)


class Watched(Stopped):
    """Nothing is told of a change."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.goes_on()
        self.reads = 0

    async def read(self, account: object, path: Path) -> object:
        self.reads += 1
        return await super().read(account, path)

    def is_still(self, account: object, path: Path, within_s: float) -> bool:
        return True


async def test_a_file_that_is_not_understood_costs_no_helper_each_time(people: People) -> None:
    homes = Watched(people.add("alice", "{,}"))
    clients = people.clients(homes)  # type: ignore[arg-type]

    for _ in range(3):
        seen, _ = await people.passed(OFFICE, clients)
        assert "not JSON" in seen.files[0].error
    assert homes.reads == 1

"""A day of a roaming laptop, in three parts: each is a process of its own, and the first two are killed.

    python -c "from tests.loopback.day import play; …" ROOT PART

What happens is noted by the lab itself, with its own clock and in its own file: what Docker ran with from when, who
ordered what, where the laptop was, which files were other ones afterwards. Nothing of it is taken from the log.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from agent.service.requests import Answer, Command, Request, Wish
from agent.values.asker import Asker, Via
from agent.values.dockerd import Phase, UnitState
from agent.values.reason import Reason
from agent.values.settings import DIRECT, Settings, settings
from agent.values.snapshot import Snapshot

from .dockerd import Dockerd
from .test_reconcile import at
from .test_service import Hand, Laptop

POLICY: Final = """
[probe]
failures = 1
failback = "0s"
recheck = "0s"
[docker]
min_interval = "0s"
[upstream.corp]
url = "http://corp.example:3128"
[upstream.backup]
url = "http://backup.example:3128"
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp", "backup", "direct"]
[[network]]
name = "home"
match.gateway = ["10.20.0.1"]
use = ["direct"]
[[network]]
name = "cafe"
match.gateway = ["10.30.0.1"]
use = ["direct"]
"""
NO_PROXY: Final = "localhost,127.0.0.0/8,::1"
CORP = settings("http://corp.example:3128", "http://corp.example:3128", NO_PROXY)
PLACES: Final[Mapping[str, tuple[Snapshot, Mapping[str, str]]]] = {
    "office": (at("10.10.0.1"), {"corp": "ok", "backup": "ok", "direct": "ok"}),
    "home": (at("10.20.0.1"), {"corp": "dns", "backup": "dns", "direct": "ok"}),
    "cafe": (at("10.30.0.1"), {"corp": "dns", "backup": "dns", "direct": "portal"}),
    "nowhere": (Snapshot(()), {"corp": "no-route", "backup": "no-route", "direct": "no-route"}),
}
ALICE = Asker(Via.CONTROL, uid=0, login_uid=1000, claimed="alice")
BOB = Asker(Via.CONTROL, uid=1001, login_uid=1001)
AGENT, SIGNAL, OTHERS = "the agent", "signal", "others"
STAYS_DOWN_S: Final = 0.02  # a dockerd that restarts
LASTS_S: Final = 0.3  # what is to be long


class Lab:
    """What it did and saw, and when: by its own clock, in its own file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, what: str, **facts: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"at": time.time(), "what": what, **facts}) + "\n")

    def notes(self, *what: str) -> list[dict[str, Any]]:
        with self._path.open() as file:
            return [note for note in map(json.loads, file) if note["what"] in what]


class Engine(Dockerd):
    """A dockerd whose starts and stops are noted by the lab, whoever makes them; it goes on where an agent died."""

    KEPT: Final = (
        *("starts", "restarts", "containers", "live_restore", "units", "killed", "refuses"),
        *("_phase", "_moved_at", "_left_at", "_got", "_running", "_read"),
    )

    def __init__(self, root: Path, state: Path, lab: Lab) -> None:
        self._lab = lab
        self._by = OTHERS
        self._at = 0.0
        self._is_furnished = False
        self.in_the_middle: Callable[[], None] | None = None  # of a restart by the agent
        super().__init__(root, state)
        self._is_furnished = True

    def keep(self, path: Path) -> None:
        path.write_bytes(pickle.dumps({name: getattr(self, name) for name in self.KEPT}))

    def go_on(self, path: Path) -> None:
        for name, value in pickle.loads(path.read_bytes()).items():  # noqa: S301 - the lab's own
            setattr(self, name, value)

    def _moves_to(self, phase: Phase) -> None:
        self._at = time.time()
        super()._moves_to(phase)

    def tell(self) -> None:
        if self._is_furnished:
            runs = shown(self.runs_with) if self.is_running else None
            self._lab.note("docker", at=self._at, runs=runs, by=self._by, start=str(self.starts))

    def is_restarted_by_others(self) -> None:
        self.somebody_stops_it()
        self.is_started_by_others()

    def is_started_by_others(self) -> None:
        self._boot()

    def somebody_stops_it(self) -> None:
        super().somebody_stops_it()
        self.tell()

    def _boot(self) -> None:
        super()._boot()
        self.tell()

    async def _started(self) -> UnitState:
        """By the agent; it takes a while."""
        self._by = AGENT
        try:
            if self.is_running:
                self.phase = Phase.STOPPED
                self.tell()
            await asyncio.sleep(STAYS_DOWN_S)
            return await super()._started()
        finally:
            self._by = OTHERS
            if self.in_the_middle is not None:
                self.in_the_middle()

    async def stop(self) -> None:
        self._by = AGENT
        await super().stop()
        self.tell()
        self._by = OTHERS


class Day(Laptop):
    """A laptop in the lab."""

    dockerd: Engine

    def __init__(self, root: Path) -> None:
        self.lab = Lab(root / "lab.jsonl")
        self._where = ""
        self._works: dict[str, str] = {}
        self._before: Mapping[str, bytes] = {}  # the files when the agent was told last
        super().__init__(root)

    def dockerd_of(self, root: Path) -> Engine:
        return Engine(root, self.paths.state, self.lab)

    # What happens to the laptop. The agent is not told of it yet.

    def plug(self, where: str, **outcomes: str) -> None:
        self.place.snapshot, here = PLACES[where]
        self._where = where
        self._works = {**here, **outcomes}
        self.place.becomes(**self._works)
        self.lab.note("place", where=where, works=self._works)

    def becomes(self, **outcomes: str) -> None:
        """What leads out of here, from now on."""
        self._works |= outcomes
        self.place.becomes(**outcomes)
        self.lab.note("works", where=self._where, works=self._works)

    def drift(self, text: str, instead: str) -> None:
        """Somebody edits the file that Docker has its proxy from."""
        file = self.dockerd.root / "etc/dockerd.env"
        file.write_text(file.read_text().replace(text, instead))
        self.lab.note("edited", file=str(file), by=OTHERS)

    def time_passes(self) -> None:
        """An hour in which nothing happens: networks are steady again."""
        (self.paths.state / "unsteady.json").unlink(missing_ok=True)

    def waits(self, why: str) -> None:
        """The lab has brought about that the next restart waits."""
        self.lab.note("waits", why=why)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No record can be written."""
        log = self.paths.audit_log
        aside = log.with_name("aside")
        log.rename(aside)
        log.mkdir()
        self.lab.note("unwritable", is_so=True)
        yield
        log.rmdir()
        aside.rename(log)
        self.lab.note("unwritable", is_so=False)

    # What the agent is told, until it is asleep again.

    async def told(self, reason: Reason = Reason.NETWORK, times: int = 1) -> None:
        for _ in range(times):
            async with self._act(AGENT):
                await self.hand.wake(reason)

    async def moves(self, where: str, **outcomes: str) -> None:
        self.plug(where, **outcomes)
        await self.told()

    async def ordered(self, command: Command, by: Asker = ALICE, **wish: Any) -> Answer:
        who = by.claimed or str(by.login_uid)
        async with self._act(who):
            self.lab.note("order", command=command.value, by=who, wish=wish)
            request = Request(Wish(command, **wish), self.said.append, by)
            return await asyncio.wait_for(self.service.ask(request), 30)

    async def signalled(self) -> None:
        async with self._act(SIGNAL):
            self.lab.note("order", command=Command.RELOAD.value, by=SIGNAL, wish={})
            self.hand.asleep.clear()
            self.service.reload()
            await asyncio.wait_for(self.hand.asleep.wait(), 30)

    @asynccontextmanager
    async def lives(self) -> AsyncIterator[None]:
        """An agent, from its start to its stop."""
        self.hand = Hand()
        self.lab.note("agent", runs=True)
        self._begins(AGENT)
        async with self.running():
            self._ended()
            yield
            self._begins(AGENT)
        self._ended()
        self.lab.note("agent", runs=False)

    def is_killed(self) -> None:
        """The agent; Docker and its files outlive it."""
        self.lab.note("dies", changed=self._changed())
        self.dockerd.keep(kept(self.paths.root))
        os.kill(os.getpid(), signal.SIGKILL)

    @asynccontextmanager
    async def _act(self, by: str) -> AsyncIterator[None]:
        self._begins(by)
        yield
        self._ended()

    def _begins(self, by: str) -> None:
        self._before = self.files()
        self.lab.note("begins", by=by, containers=self.dockerd.containers)

    def _ended(self) -> None:
        self.lab.note("ended", changed=self._changed())

    def _changed(self) -> list[str]:
        before, after = self._before, self.files()
        return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))

    def files(self) -> dict[str, bytes]:
        folders = (self.dockerd.root / "etc", self.dockerd.root / "unit")
        return {str(path): path.read_bytes() for folder in folders for path in folder.iterdir()}


def kept(root: Path) -> Path:
    """What outlives an agent that is killed."""
    return root / "outlives.pickle"


def shown(runs: Settings) -> dict[str, Any]:
    """As the log has it; written down once more, or the log would be compared with itself."""
    if runs == DIRECT:
        return {"direct": True}
    assert runs.http is not None
    assert runs.https is not None
    return {"http": str(runs.http), "https": str(runs.https), "no_proxy": ",".join(sorted(runs.no_proxy))}


async def morning(day: Day) -> None:
    day.policy(POLICY)
    day.plug("home")
    async with day.lives():
        await day.moves("office")
        await day.moves("home")
        log = day.paths.audit_log
        day.lab.note("deleted", records=len(log.read_text().splitlines()))
        log.unlink()
        day.waits("the network keeps changing")
        await day.moves("office")  # the third within a minute
        await day.ordered(Command.APPLY, is_now=True)
    day.time_passes()
    day.dockerd.containers = 2
    async with day.lives():
        # The proxy dies, and the one after it; then nothing works for a while.
        day.becomes(corp="refused")
        await day.told(Reason.PROXY)
        day.becomes(backup="refused", direct="timeout")
        await day.told(Reason.PROXY, times=3)
        await asyncio.sleep(LASTS_S)
        day.becomes(backup="ok")
        await day.told(Reason.PROXY)
        await day.moves("cafe")
        await day.told(Reason.PROXY, times=2)
        await asyncio.sleep(LASTS_S)
        day.becomes(direct="ok")  # somebody has passed the portal
        await day.told(Reason.PROXY)
        day.waits("2 containers run")
        await day.moves("office")
        await day.ordered(Command.APPLY, is_now=True)
        day.waits("2 containers run")
        await day.ordered(Command.PIN, upstream="direct")
        await day.ordered(Command.APPLY, is_now=True)
        await asyncio.sleep(LASTS_S)
        day.is_killed()


async def noon(day: Day) -> None:
    day.dockerd.is_restarted_by_others()  # while no agent runs
    day.plug("office")
    day.time_passes()
    async with day.lives():
        await day.ordered(Command.UNPIN, by=BOB)
        await day.ordered(Command.APPLY, by=BOB, is_now=True)
        day.drift("corp.example", "elsewhere.example")
        await day.told(Reason.FILES)
        day.dockerd.is_restarted_by_others()
        await day.told(Reason.FILES)
        day.dockerd.somebody_stops_it()
        await day.told(Reason.FILES)
        day.dockerd.is_started_by_others()
        await day.told(Reason.FILES)
        day.drift("corp.example", "elsewhere.example")
        day.dockerd.is_restarted_by_others()
        await day.told(Reason.FILES)
        await day.ordered(Command.PAUSE)
        await day.moves("home")
        await day.told(Reason.PROXY, times=2)
        await asyncio.sleep(LASTS_S)
        await day.ordered(Command.RESUME)
        day.policy("[upstream.direct]\n")
        await day.told(Reason.FILES)
        day.policy(POLICY)
        await day.told(Reason.FILES)
        day.policy(POLICY.replace('use = ["corp", "backup", "direct"]', 'use = ["corp", "backup"]'))
        await day.told(Reason.FILES)
        await day.moves("nowhere")
        await day.moves("home")
    day.time_passes()
    async with day.lives():
        day.dockerd.in_the_middle = day.is_killed
        await day.moves("office")


async def evening(day: Day) -> None:
    day.plug("office")
    day.time_passes()
    async with day.lives():
        # What depends on Docker keeps it from being restarted.
        day.dockerd.units = {"stack.service": True}
        day.waits("stack.service")
        await day.moves("home")
        await day.told(Reason.PROXY, times=2)
        await asyncio.sleep(LASTS_S)
        await day.moves("office")
        day.waits("stack.service")
        await day.moves("home")
        day.dockerd.units = {}
        await day.told(Reason.TIMER)
        day.time_passes()
    async with day.lives():
        # It does not start with the first proxy.
        day.dockerd.refuses = CORP
        await day.moves("office")
        await day.told(Reason.TIMER)
        day.dockerd.refuses = None
        with day.full_disk():
            day.dockerd.is_restarted_by_others()
            await day.told(Reason.FILES)
        await day.signalled()
        await day.moves("home")
        await day.ordered(Command.APPLY, is_now=True)
    day.dockerd.is_restarted_by_others()


PARTS: Final = {"morning": morning, "noon": noon, "evening": evening}


def play(words: Sequence[str]) -> None:
    root, part = Path(words[0]), words[1]
    day = Day(root)
    if part != "morning":
        day.dockerd.go_on(kept(root))
    asyncio.run(PARTS[part](day))
    day.dockerd.keep(kept(root))

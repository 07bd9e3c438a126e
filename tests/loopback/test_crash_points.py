"""An agent that dies at any step of a restart that keeps containers: what the next one makes of what it finds.

The points are found by enumeration: whatever changes something on disk or in dockerd is one, told by Python's own audit
events. From the point of death on nothing that it tries happens any more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from agent.decide.plan import Holding, plan
from agent.decide.urgent import Urgency
from agent.docker.journal import Journal
from agent.docker.recover import recover
from agent.docker.transaction import Applied
from agent.targets import daemon_json
from agent.values.dockerd import Phase
from agent.values.errors import AgentError
from agent.values.policy import Docker, Method
from agent.values.settings import DIRECT, Texts, settings
from tests.share import share_of

from .dockerd import Dockerd

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
URGENT = Holding(urgency=Urgency(is_urgent=True, because="direct does not work here (no-route)"))
THEIRS = '{\n\t"log-driver" : "local"\n}'
STEPS: Final = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", Dockerd.STEP})
WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Died(BaseException):
    """As a kill does: nothing after it is done."""


class Death:
    """Comes at the n-th step; counts until then. Something else may come instead, once."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._instead: Callable[[], None] | None = None
        self._counted = STEPS
        self._is_told = False
        self.steps: list[str] = []

    @contextmanager
    def at(
        self, step: int | None, instead: Callable[[], None] | None = None, *, counted: frozenset[str] = STEPS
    ) -> Iterator[None]:
        """None: never, and all steps are counted."""
        if not self._is_told:
            self._is_told = True
            # For the life of the process, which it slows down; it listens only within this.
            sys.addaudithook(self._heard)
        self._counted = counted
        self.steps, self._at = [], sys.maxsize if step is None else step
        self._instead = instead
        try:
            yield
        finally:
            self._at = None

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._at is None or not self._counts(event, arguments):
            return
        self.steps.append(event)
        if len(self.steps) <= self._at:
            return
        if self._instead is None:
            raise Died
        self._at = sys.maxsize
        self._instead()

    def _counts(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event == "open":
            flags = arguments[2]
            return isinstance(flags, int) and bool(flags & WRITES)
        return event in self._counted


DEATH: Final = Death()


def told_of_sleeps(loop: asyncio.AbstractEventLoop) -> list[float]:
    """How long each sleep is that ends from now on: on a busy machine everything else takes long, too."""
    seconds: list[float] = []
    call_later = loop.call_later

    def told(delay: float, callback: Callable[..., object], *rest: Any, **named: Any) -> asyncio.TimerHandle:
        def ends(*arguments: Any) -> None:
            seconds.append(delay)
            callback(*arguments)

        return call_later(delay, ends, *rest, **named)

    loop.call_later = told  # type: ignore[method-assign, assignment]
    return seconds


class Machine:
    """Two containers, a daemon.json of somebody else's, and a restart that is urgent."""

    def __init__(self, root: Path, method: Method, refuses: bool) -> None:
        root.mkdir()
        self.dockerd = Dockerd(root)
        self.file = root / "etc/daemon.json"
        self.file.write_text(THEIRS)
        self.dockerd.containers = 2
        self.dockerd.units = {"stack.service": True, "comes-back.service": True}
        self.dockerd.comes_back = {"comes-back.service"}
        self.dockerd.refuses = OFFICE if refuses else None
        self._method = method

    async def roams(self) -> Applied:
        dockerd = self.dockerd
        reality = await dockerd.reality(OFFICE)
        made = plan(
            OFFICE,
            reality,
            Docker(method=self._method, take_along=("*.service",)),
            dockerd.owned(reality),
            is_asked_now=False,
            holding=URGENT,
        )
        return await dockerd.transaction().carry_out(made, reality)

    async def next_agent(self) -> None:
        dockerd = self.dockerd
        await recover(dockerd, dockerd, dockerd.agent_state, dockerd.record(), is_systemd=True, may_restart=True)

    def is_whole(self) -> bool:
        """Old or new, and nothing in between; with live-restore in it or not."""
        text = self.file.read_text()
        return daemon_json.set_live_restore(text, to=None) in {THEIRS, daemon_json.edit(THEIRS, OFFICE, Texts())}

    def is_as_it_was(self) -> bool:
        """But for what was asked for."""
        return self.file.read_text() in {THEIRS, daemon_json.edit(THEIRS, OFFICE, Texts())}


@pytest.mark.parametrize("method", [Method.DROP_IN, Method.DAEMON_JSON])
@pytest.mark.parametrize("refuses", [False, True], ids=["comes-up", "is-rolled-back"])
async def test_wherever_it_dies_docker_runs_and_containers_live(tmp_path: Path, method: Method, refuses: bool) -> None:
    counted = Machine(tmp_path / "counted", method, refuses)
    with DEATH.at(None):
        await counted.roams()
    points = range(len(DEATH.steps))
    assert len(points) > 30

    for point in share_of(points):
        machine = Machine(tmp_path / str(point), method, refuses)
        with DEATH.at(point), suppress(Died):
            await machine.roams()
        assert machine.is_whole(), point

        await machine.next_agent()

        dockerd = machine.dockerd
        assert (dockerd.phase, dockerd.containers, dockerd.killed) == (Phase.RUNNING, 2, 0), point
        assert not dockerd.live_restore, point
        assert all(dockerd.units.values()), (point, dockerd.units)
        assert Journal(dockerd.agent_state).under_way().units == (), point
        assert "live-restore" not in machine.file.read_text(), point
        assert dockerd.runs_with in {OFFICE, DIRECT}, point
        assert Journal(dockerd.agent_state).under_way().bracket is None, point
        if refuses:
            assert Journal(dockerd.agent_state).under_way().is_over or dockerd.runs_with == DIRECT, point


@pytest.mark.parametrize("method", [Method.DROP_IN, Method.DAEMON_JSON])
@pytest.mark.parametrize("refuses", [False, True], ids=["comes-up", "is-rolled-back"])
async def test_whenever_somebody_stops_docker_it_stays_so_and_the_file_is_as_it_was(
    tmp_path: Path, method: Method, refuses: bool
) -> None:
    looks_too = STEPS | {Dockerd.LOOK}
    counted = Machine(tmp_path / "counted", method, refuses)
    with DEATH.at(None, counted=looks_too):
        await counted.roams()
    points = share_of(range(len(DEATH.steps)))
    sleeps = told_of_sleeps(asyncio.get_running_loop())

    for point in points:
        machine = Machine(tmp_path / str(point), method, refuses)
        dockerd = machine.dockerd
        phases = [Phase.RUNNING]

        def stops(dockerd: Dockerd = dockerd, phases: list[Phase] = phases) -> None:
            phases[0] = dockerd.phase
            dockerd.somebody_stops_it()

        with DEATH.at(point, stops, counted=looks_too), suppress(AgentError):
            await machine.roams()
        under_way = Journal(dockerd.agent_state).under_way()
        assert machine.is_as_it_was(), point
        assert under_way.bracket is None, point
        assert not under_way.forbids_writing, point
        # Nobody can tell who has stopped one that broke, or that a roll-back has stopped.
        assert dockerd.phase is (Phase.STOPPED if phases[0] is Phase.RUNNING else dockerd.phase), (point, phases)

        phase = dockerd.phase
        await machine.next_agent()

        assert dockerd.phase is phase, point
        assert machine.is_as_it_was(), point
        assert phase is Phase.STOPPED or all(dockerd.units.values()), point
    assert sum(sleeps) < len(points)  # none of them waits for what a stopped Docker does not say

"""Killed at any step, the next start finds everything old or new and whole, and finishes it.

The steps are found by a first run that tells all of them (`crash.py`). With CRASH_EVERYWHERE in the environment each of
them is tried, some hundreds; without, those in which something becomes another one, and every so many. `make check`
tries some of those.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.docker.journal import Journal
from tests.share import SHARE, share_of

from .crash import Moment
from .installation import DAEMON_JSON, LOGGED_IN, PASSWORD, Installation, is_offline, proxy
from .runs import Runs, Zygote

AT_ONCE = 3 if SHARE == 1 else 1  # a pass waits as long as it works, but to set up three for a few moments takes longer
EVERYWHERE = "CRASH_EVERYWHERE" in os.environ

pytestmark = [
    pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing"),
    *([pytest.mark.timeout(0)] if EVERYWHERE else []),  # takes as long as it takes
]
KILLED = -9

ORIGINALS = {"daemon.json": (DAEMON_JSON, 0o644), "config.json": (LOGGED_IN, 0o640)}


class Story:
    """One machine in which the same is done, and cut short, again and again."""

    def __init__(self, folder: Path, port: int, prepare: Callable[[Installation, Runs], None]) -> None:
        self.folder = folder
        (folder / "root").mkdir(parents=True)
        self.machine = Installation(folder / "root", port)
        self.zygote = Zygote()
        self.runs = Runs(self.machine.root, folder, self.zygote)
        self._prepare = prepare

    def begin(self) -> None:
        """As it was before; and what daemon.json is meant to say, which a Docker that refuses it never keeps."""
        self._prepare(self.machine, self.runs)
        self.machine.save(self.folder / "saved")
        self.old = self.machine.targets()
        self.old_proxies = self.machine.runs_with()

    def end(self, moments: list[Moment], *words: str) -> None:
        """Done to its end once, which tells what is new."""
        moments += self.runs.moments(*words)
        self.new = self.machine.targets()
        self.new_proxies = self.machine.runs_with()
        self.status = self.runs.run(*words)

    def dies(self, moment: Moment) -> str:
        """What is wrong after it; '' if nothing is."""
        machine = self.machine
        machine.put_back(self.folder / "saved")
        if self.runs.run("apply", dies=moment) != KILLED:
            return f"lived through it: {self.runs.said}"
        problems = [*self._torn(), *self._after_the_next_start()]
        if moment.nth % 2 and is_grave(moment):
            problems += self._after_a_restore()
        return "; ".join(problems)

    def _torn(self) -> Iterator[str]:
        now = self.machine.targets()
        for name, found in now.items():
            if found not in (self.old[name], self.new[name]) and not self._is_meant(name, found):
                yield f"{name} is neither the old nor the new one: {found}"
        if now != self.old and "apply-started" not in self.machine.events():
            yield "it was written before the log said so"

    def _is_meant(self, name: str, found: tuple[str, int] | None) -> bool:
        """A daemon.json that this Docker refuses, until it is put back: it says what was chosen, whole."""
        was = self.old[name]
        is_refused = name == "daemon.json" and (self.machine.root / "run/refused").exists()
        if not is_refused or found is None or was is None:
            return False
        wanted = f"http://alice:{PASSWORD}@127.0.0.1:{self.machine.port}"
        meant = was[0].replace(f"http://localhost:{self.machine.port}", wanted)
        return found == (meant, 0o600)

    def _after_the_next_start(self) -> Iterator[str]:
        machine = self.machine
        status = self.runs.run("apply")
        if status != self.status or "Traceback" in self.runs.said:
            yield f"the next start ended with {status}: {self.runs.said}"
        if machine.targets() != self.new:
            yield f"then {machine.targets()}"
        if machine.runs_with() != self.new_proxies:
            yield f"Docker runs with {machine.runs_with()}"
        if not (left := Journal(machine.paths.state).under_way()).is_over:
            yield f"the journal still holds {left}"
        if found := machine.leftovers():
            yield f"left behind: {found}"
        verified = machine.verified()
        if not verified.is_whole:
            yield f"the audit log is broken: {verified.broken}"

    def _after_a_restore(self) -> Iterator[str]:
        status = self.runs.run("restore")
        if status != 0 or self.machine.targets() != ORIGINALS:
            yield f"restore ended with {status} and leaves {self.machine.targets()}: {self.runs.said}"


def some_of(moments: Sequence[Moment], apart: int) -> list[Moment]:
    """Every so many, and each in which a target, the journal or Docker becomes another one."""
    if EVERYWHERE:
        return list(moments)
    found = [one for number, one in enumerate(moments) if number % apart == 0 or is_grave(one)]
    return list(share_of(found))


def is_grave(moment: Moment) -> bool:
    operation, _, file = moment.what.rpartition(" ")
    is_target = file.startswith(("etc/docker/", "home/")) and operation in ("torn", "exchange", "rename to free")
    return is_target or file == "var/lib/docker-proxy-agent/journal.json" or "quick_engine" in moment.what


async def told(tmp_path: Path, prepare: Callable[[Installation, Runs], None], apart: int) -> None:
    """Several machines side by side, each with its share of the moments."""
    moments: list[Moment] = []
    with proxy() as port, ExitStack() as stack:
        stories = [Story(tmp_path / str(number), port, prepare) for number in range(AT_ONCE)]
        for story in stories:
            stack.enter_context(story.machine)
            stack.enter_context(story.zygote)
            story.begin()
            story.end([] if moments else moments, "apply")
        left = some_of(moments, apart)[::-1]
        tried = len(left)
        wrong: list[str] = []

        def work(story: Story) -> None:
            while left:
                moment = left.pop()
                if problem := story.dies(moment):
                    wrong.append(f"{moment}\n    {problem}")

        await asyncio.gather(*(asyncio.to_thread(work, story) for story in stories))
    print(f"{tried} of {len(moments)}")
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong)


def a_first_write(machine: Installation, runs: Runs) -> None:
    """Nothing was ever written here."""


def another_proxy(machine: Installation, runs: Runs) -> None:
    """From a proxy with a password to one without."""
    assert runs.run("apply") == 0
    machine.policy("branch")


def a_proxy_that_docker_refuses(machine: Installation, runs: Runs) -> None:
    machine.policy("branch")
    assert runs.run("apply") == 0
    machine.policy("office")
    machine.refuse(PASSWORD)


@pytest.mark.long
@pytest.mark.parametrize(
    ("prepare", "apart"), [(a_first_write, 11), (another_proxy, 31), (a_proxy_that_docker_refuses, 31)]
)
async def test_killed_at_any_step_the_next_start_finishes(
    tmp_path_factory: pytest.TempPathFactory, prepare: Callable[[Installation, Runs], None], apart: int
) -> None:
    await told(tmp_path_factory.mktemp("c"), prepare, apart)

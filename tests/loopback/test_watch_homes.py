"""Changes of people's files, told by folders that real helpers of real other users pass: root goes nowhere there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from agent.clients.descriptors import let_go
from agent.clients.helper_process import helper_argv
from agent.clients.homes import Homes, Passed
from agent.service.watch.homes import HomeWatch
from agent.service.watch.paths import GATHER_S
from agent.service.watch.wakeups import Wakeups
from agent.system.inotify import Inotify
from agent.values.errors import TargetFailed
from agent.values.reason import Reason
from tests.waiting import until_awaited

from .test_homes import NEEDS_ROOT, Person, alice, bob, house, moves_in, somebody

__all__ = ["alice", "bob", "house", "somebody"]  # fixtures

WITHIN_S = 5.0
RECHECK_S = 60.0


class Clock:
    """Stands still, but for who moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def boottime_s(self) -> float:
        return self.now_s

    def monotonic_s(self) -> float:
        return self.now_s


class Watched:
    """A file that is read and watched."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wakeups = Wakeups()
        self.watch = HomeWatch(self.wakeups.wake, self.clock)
        self.homes = Homes(watch=self.watch)

    async def reads(self, person: Person) -> str | None:
        found = await self.homes.read(person, person.config)
        return None if found is None else found.text

    def is_still(self, person: Person) -> bool:
        return self.homes.is_still(person, person.config, RECHECK_S)

    async def woke(self) -> bool:
        return await self.wakeups.next(WITHIN_S) == {Reason.FILES}

    async def is_quiet(self) -> bool:
        return await self.wakeups.next(GATHER_S * 4) == frozenset()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    before = descriptors()
    yield watched
    watched.watch.close()
    await until_awaited(10, lambda: descriptors() <= before, "the descriptors of before")


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def makes_folder(person: Person) -> None:
    person.folder.mkdir()
    person.owns(person.folder, 0o700)


def removes_folder(person: Person) -> None:
    shutil.rmtree(person.folder)


def moves_folder(person: Person) -> None:
    person.folder.rename(person.home / "elsewhere")


def writes_in_place(person: Person) -> None:
    person.config.write_text("{1}")


def moves_home(person: Person) -> None:
    person.home.rename(person.home.with_name("moved"))


CHANGES: list[Callable[[Person], object]] = [
    Person.writes_another,
    writes_in_place,
    lambda person: person.config.unlink(),
    lambda person: person.config.chmod(0o644),
    lambda person: person.folder.chmod(0o755),
    removes_folder,
    moves_folder,
    moves_home,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_change_is_told_and_nothing_else_is(
    somebody: Person, watched: Watched, change: Callable[[Person], object]
) -> None:
    somebody = msgspec.structs.replace(somebody, seen_before=somebody.threshold)
    somebody.has()
    await watched.reads(somebody)
    assert watched.is_still(somebody)
    (somebody.home / "notes").write_text("")  # names that lead nowhere
    (somebody.folder / "contexts").mkdir()
    somebody.config.read_text()
    assert await watched.is_quiet()
    assert watched.is_still(somebody)

    change(somebody)

    assert not watched.is_still(somebody)  # at once, for a pass that comes for another reason
    assert await watched.woke()


async def test_a_folder_that_appears_is_told_and_then_what_is_in_it(somebody: Person, watched: Watched) -> None:
    assert await watched.reads(somebody) is None
    assert watched.is_still(somebody)

    makes_folder(somebody)
    assert await watched.woke()
    assert await watched.reads(somebody) is None
    assert watched.is_still(somebody)
    somebody.has("{}")

    assert await watched.woke()
    assert await watched.reads(somebody) == "{}"


async def test_the_whole_way_of_links_is_watched(somebody: Person, watched: Watched) -> None:
    """As stow makes them, relative; and one that begins at the root, through folders of root's."""
    dotfiles = somebody.home / "dotfiles"
    for folder in (dotfiles, dotfiles / "docker", dotfiles / "real"):
        folder.mkdir()
        somebody.owns(folder, 0o700)
    somebody.folder.symlink_to("dotfiles/docker")
    (dotfiles / "docker/config.json").symlink_to(dotfiles / "real/config.json")
    real = dotfiles / "real/config.json"
    real.write_text("{}")
    somebody.owns(real, 0o600)

    async def told_by(change: Callable[[], object]) -> None:
        await watched.reads(somebody)
        assert watched.is_still(somebody)
        watched.clock.now_s += 1000
        assert watched.is_still(somebody)  # all of it is watched: nobody asks again
        change()
        assert await watched.woke()
        assert not watched.is_still(somebody)

    await told_by(lambda: real.write_text("{1}"))
    await told_by(lambda: real.rename(real.with_name("old")))
    await told_by((dotfiles / "docker/config.json").unlink)
    await told_by(lambda: (dotfiles / "docker").rename(dotfiles / "old"))
    await told_by(somebody.folder.unlink)


@NEEDS_ROOT
@pytest.mark.parametrize("target", ["/proc/nothing/there", "{bob}/shared/config.json"])
async def test_what_cannot_be_watched_is_looked_at_by_and_by(
    alice: Person, bob: Person, watched: Watched, target: str
) -> None:
    bob.home.chmod(0o755)
    (bob.home / "shared").mkdir()
    bob.owns(bob.home / "shared", 0o777)
    makes_folder(alice)
    alice.config.symlink_to(target.format(bob=bob.home))
    await watched.reads(alice)

    watched.clock.now_s += RECHECK_S / 2
    assert watched.is_still(alice)  # however many passes come for other reasons
    watched.clock.now_s += RECHECK_S / 2
    assert not watched.is_still(alice)


@pytest.mark.parametrize("target", ["a" * 300, "round", "config.json/further"])
async def test_links_that_lead_nowhere_fail_and_are_watched(somebody: Person, watched: Watched, target: str) -> None:
    makes_folder(somebody)
    somebody.config.symlink_to(target)
    (somebody.folder / "round").symlink_to("config.json")
    with pytest.raises(TargetFailed, match=r"cannot be read: (File name too long|Too many levels of symbolic links)"):
        await watched.reads(somebody)

    somebody.config.unlink()

    assert await watched.woke()


async def test_who_never_rests_is_told_of_ever_more_rarely(somebody: Person, watched: Watched) -> None:
    somebody.has()
    loop = asyncio.get_running_loop()
    told: list[float] = []

    async def restless() -> None:
        while True:
            writes_in_place(somebody)
            await asyncio.sleep(0.001)

    task = asyncio.create_task(restless())
    began = loop.time()
    while loop.time() < began + 6:
        await watched.reads(somebody)
        await watched.wakeups.next(6)
        told.append(loop.time() - began)
    task.cancel()

    assert len(told) <= 8
    assert told[-1] - told[-2] > 1
    # And when it is over: once more, and never wrong after that.
    writes_in_place(somebody)
    assert await watched.reads(somebody) == "{1}"


async def test_names_that_lead_nowhere_wake_nobody_however_many(somebody: Person, watched: Watched) -> None:
    somebody.has()
    await watched.reads(somebody)
    for number in range(3000):
        (somebody.home / f"{number % 7}").touch()
        (somebody.home / f"{number % 7}").unlink()

    assert await watched.is_quiet()
    assert watched.is_still(somebody)
    somebody.writes_another()
    assert not watched.is_still(somebody)


def test_lost_news_are_news(tmp_path: Path) -> None:
    queue = Inotify()
    folder = os.open(tmp_path, os.O_PATH)
    watch = queue.add(folder, and_files=False)
    os.close(folder)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(most // 2 + 10):
        os.close(os.open(tmp_path / f"{number % 2}", os.O_CREAT))
        (tmp_path / f"{number % 2}").unlink()

    events = list(queue.read())
    queue.close()

    assert {event.watch for event in events[:-1]} == {watch}
    assert (events[-1].watch, events[-1].name) == (-1, b"")


# What a helper passes is somebody else's word.


@NEEDS_ROOT
async def test_only_folders_of_ones_own_on_a_local_disk_are_watched(
    alice: Person, bob: Person, watched: Watched, tmp_path: Path
) -> None:
    alice.has()
    one, other = socket.socketpair()
    reading, writing = os.pipe()
    wrong = {
        "a file of hers": os.open(alice.config, os.O_PATH),
        "another's folder": os.open(bob.home, os.O_PATH),
        "/proc": os.open("/proc/self", os.O_PATH),
        "/sys": os.open("/sys", os.O_PATH),
        "a socket": one.detach(),
        "a pipe": reading,
        "memory": os.memfd_create("x"),
    }
    right = os.open(alice.folder, os.O_PATH)

    for name, descriptor in {**wrong, "right": right}.items():
        await watched.watch.begin(alice, alice.config)
        await watched.watch.follow(alice, alice.config, [Passed(descriptor, b"config.json")], is_whole=True)
        watched.clock.now_s += RECHECK_S
        assert watched.is_still(alice) is (name == "right"), name
        let_go(descriptor)
    os.close(writing)
    other.close()


IN_FLIGHT = """
import os, socket, sys
uid, count = map(int, sys.argv[1:])
if uid != os.geteuid():
    os.setuid(uid)
ours, theirs = socket.socketpair()
for _ in range(count):
    socket.send_fds(ours, [b"."], [0])
print("sent", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def in_flight(uid: int, count: int) -> Iterator[None]:
    """So many descriptors that a program of the user has sent, and that nobody receives."""
    argv = (sys.executable, "-I", "-S", "-c", IN_FLIGHT, str(uid), str(count))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == b"sent\n"
        yield
        program.stdin.close()
        program.wait(10)


async def test_what_the_users_programs_have_in_flight_takes_no_watch(somebody: Person, watched: Watched) -> None:
    somebody.has()
    with in_flight(somebody.uid, 200):
        assert await watched.reads(somebody) is not None
        watched.clock.now_s += RECHECK_S

        assert watched.is_still(somebody)


@pytest.mark.needs_root  # root's own helper may send more than its limit
async def test_with_too_many_in_flight_the_file_is_read_and_left_to_the_timer(alice: Person, watched: Watched) -> None:
    alice.has()
    argv = ("prlimit", "--nofile=64:64", *helper_argv())
    with in_flight(alice.uid, 200):
        assert await Homes(watch=watched.watch, argv=argv).read(alice, alice.config) is not None

        assert watched.is_still(alice)
        watched.clock.now_s += RECHECK_S
        assert not watched.is_still(alice)


PASSES = """
import _socket, array
ours = _socket.socket(fileno=0)
opened = [os.open("/", os.O_PATH) for _ in range({count})] + [os.open("/etc/passwd", os.O_RDONLY)]
for line in sys.stdin:
    for _ in range({times}):
        ours.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", opened))])
    if "PassFolders" in line: os.write(1, b'{{"type": "PassedFolders", "names": [{names}], "is_whole": true}}\\n')
    if "Read" in line: os.write(1, b'{{"type": "NoFile"}}\\n')
"""


def passing(watched: Watched, count: int, times: int, names: str) -> Homes:
    code = "import os, sys\n" + PASSES.format(count=count, times=times, names=names)
    return Homes(watch=watched.watch, argv=(sys.executable, "-I", "-S", "-c", code))


@pytest.mark.parametrize(
    ("count", "times", "names"),
    [
        pytest.param(20, 1, '"YQ=="', id="too-many"),
        pytest.param(3, 50, '"YQ=="', id="again-and-again"),
        pytest.param(1, 1, "", id="for-no-name"),
        pytest.param(0, 0, '"YQ=="', id="none"),
        pytest.param(0, 1, '"YQ=="', id="no-folder"),
    ],
)
async def test_what_was_not_asked_for_is_refused_and_let_go(
    somebody: Person, watched: Watched, count: int, times: int, names: str
) -> None:
    before = descriptors()
    homes = passing(watched, count, times, names)

    assert await homes.read(somebody, somebody.config) is None

    watched.watch.close()
    await until_awaited(10, lambda: descriptors() == before, "the descriptors of before")


async def test_more_names_than_there_may_be_are_no_answer(somebody: Person, watched: Watched) -> None:
    homes = passing(watched, 0, 0, ", ".join(['"YQ=="'] * 13))

    with pytest.raises(TargetFailed, match="gave an invalid answer"):
        await homes.read(somebody, somebody.config)


async def test_another_home_in_its_place_is_not_still_the_same(somebody: Person, watched: Watched, house: Path) -> None:
    somebody.has()
    await watched.reads(somebody)
    home = somebody.home
    home.rename(house / "old")
    again = moves_in(house, home.name, somebody.uid, somebody.gid)

    assert not watched.is_still(again)


async def test_who_is_kept_no_longer_is_not_watched(somebody: Person, watched: Watched) -> None:
    somebody.has()
    before = descriptors()
    await watched.reads(somebody)
    assert descriptors() == before + 1

    watched.homes.keep(())

    assert descriptors() == before
    assert not watched.is_still(somebody)

"""Files and directories as others treat them, watched by the real watchdog."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.service.watch.paths import GATHER_S, Depth, FileWatch, WantedWatch, wanted_watches
from agent.service.watch.wakeups import Wakeups
from agent.system.files import read_file, replace_file
from agent.values.reason import Reason

from .rest import at_rest

WITHIN_S = 30.0


class Watched:
    """A folder with files, watched; and what woke."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "docker/daemon.json"
        self.config.parent.mkdir()
        self.config.write_text("{}")
        self.woken: list[Reason] = []
        self.wakeups = Wakeups()
        self.watch = FileWatch(self._wake)

    def _wake(self, reason: Reason) -> None:
        self.woken.append(reason)
        self.wakeups.wake(reason)

    async def files(self, *paths: Path) -> None:
        """These are watched; that they were not until now is told."""
        self.watch.watch(paths)
        assert await self.wakeups.next(0) == {Reason.FILES}

    async def woke(self) -> bool:
        return await self.wakeups.next(WITHIN_S) == {Reason.FILES}

    async def at_rest(self) -> None:
        """All that was done is told: a mark that is made after it is told later."""
        await at_rest(self.wakeups, WITHIN_S)

    async def is_deaf_to(self, act: Callable[[], object], mark: Path) -> bool:
        """Whether only what is done after it wakes. Events of one directory are told in their order."""
        await self.at_rest()
        act()
        await asyncio.sleep(GATHER_S * 3)
        early = await self.wakeups.next(0)
        written(mark)
        return not early and await self.woke()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.watch.close()


def written(path: Path) -> None:
    path.write_text('{"proxies": {}}')


def renamed_over(path: Path) -> None:
    beside = path.with_name("beside.tmp")
    beside.write_text("{}")
    beside.rename(path)


def moved_here(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.write_text("{}")
    elsewhere.rename(path)


def touched(path: Path) -> None:
    path.chmod(0o600)


@pytest.mark.parametrize("act", [written, renamed_over, moved_here, touched, Path.unlink])
async def test_a_change_wakes_and_the_next_one_too(watched: Watched, act: Callable[[Path], None]) -> None:
    await watched.files(watched.config)

    act(watched.config)

    assert await watched.woke()
    await watched.at_rest()
    renamed_over(watched.config)
    assert await watched.woke()


async def test_a_file_that_appears_wakes(watched: Watched) -> None:
    policy = watched.root / "docker/policy.toml"
    await watched.files(policy)

    policy.write_text("")

    assert await watched.woke()


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda config: config.read_text(), id="reading"),
        pytest.param(lambda config: list(config.parent.iterdir()), id="listing"),
        pytest.param(lambda config: written(config.with_name("key.json")), id="another-file"),
        pytest.param(lambda config: written(config.with_name(".daemon.json.0123abcd.docker-proxy-agent")), id="ours"),
    ],
)
async def test_what_is_no_change_wakes_nobody(watched: Watched, act: Callable[[Path], object]) -> None:
    await watched.files(watched.config)

    assert await watched.is_deaf_to(lambda: act(watched.config), watched.config)


async def test_in_a_watched_directory_all_names_count_but_ours(watched: Watched) -> None:
    await watched.files(watched.config.parent)
    ours = watched.config.with_name(".daemon.json.0123abcd.docker-proxy-agent")

    assert await watched.is_deaf_to(lambda: written(ours), watched.config.with_name("50-other.conf"))


async def test_our_own_writing_wakes_as_any_other(watched: Watched) -> None:
    """Who wrote is found out by the look that follows."""
    await watched.files(watched.config)

    replace_file(watched.config, b'{"a": 1}', expected=read_file(watched.config))

    assert await watched.woke()


# Directories and links.


async def test_a_directory_that_appears_is_watched(watched: Watched) -> None:
    config = watched.root / "home/.docker/config.json"
    await watched.files(config)

    config.parent.parent.mkdir()
    assert await watched.woke()
    watched.watch.refresh()
    config.parent.mkdir()
    assert await watched.woke()
    watched.watch.refresh()
    await watched.at_rest()
    config.write_text("{}")

    assert await watched.woke()


async def test_directories_made_before_anyone_looked_are_found(watched: Watched) -> None:
    config = watched.root / "home/.docker/config.json"
    await watched.files(config)
    config.parent.mkdir(parents=True)
    assert await watched.woke()

    watched.watch.refresh()

    assert await watched.woke()  # config.json may have come before its directory was watched
    await watched.at_rest()
    config.write_text("{}")
    assert await watched.woke()


async def test_a_directory_swapped_for_another_is_followed(watched: Watched) -> None:
    await watched.files(watched.config)
    new = watched.root / "new"
    new.mkdir()

    watched.config.parent.rename(watched.root / "old")
    new.rename(watched.config.parent)
    watched.watch.refresh()

    assert await watched.woke()
    await watched.at_rest()
    watched.config.write_text("{}")
    assert await watched.woke()


async def test_a_directory_removed_and_made_again_is_followed(watched: Watched) -> None:
    """It may even have got the number of the old one."""
    await watched.files(watched.config)

    shutil.rmtree(watched.config.parent)
    watched.config.parent.mkdir()
    assert await watched.woke()
    await watched.at_rest()
    watched.watch.refresh()
    await watched.at_rest()
    watched.config.write_text("{}")

    assert await watched.woke()


async def test_what_a_link_leads_to_wakes_and_so_does_another_link(watched: Watched) -> None:
    one, two = watched.root / "one", watched.root / "two"
    for stub in (one, two):
        stub.mkdir()
        (stub / "resolv.conf").write_text("")
    link = watched.root / "resolv.conf"
    link.symlink_to("one/resolv.conf")
    await watched.files(link)

    (one / "resolv.conf").write_text("nameserver 10.10.0.1\n")
    assert await watched.woke()
    await watched.at_rest()

    new = watched.root / "new"
    new.symlink_to(two / "resolv.conf")
    new.rename(link)
    assert await watched.woke()
    watched.watch.refresh()
    await watched.at_rest()

    renamed_over(two / "resolv.conf")
    assert await watched.woke()


async def test_a_directory_that_is_a_link_is_followed_and_so_is_another_one(watched: Watched) -> None:
    real, other = watched.config.parent, watched.root / "other"
    other.mkdir()
    link = watched.root / "link"
    link.symlink_to(real)
    await watched.files(link / "daemon.json")
    written(watched.config)
    assert await watched.woke()
    await watched.at_rest()

    link.unlink()
    link.symlink_to(other)
    assert await watched.woke()
    watched.watch.refresh()
    await watched.at_rest()

    written(other / "daemon.json")
    assert await watched.woke()


async def test_what_is_no_longer_asked_for_wakes_nobody(watched: Watched) -> None:
    other = watched.root / "other.toml"
    await watched.files(watched.config)
    await watched.files(other)

    assert await watched.is_deaf_to(lambda: written(watched.config), other)


async def test_a_second_look_at_the_same_is_no_news(watched: Watched) -> None:
    await watched.files(watched.config, watched.root / "a/b/c")
    before = list(watched.woken)

    for _ in range(3):
        watched.watch.refresh()

    assert watched.woken == before
    assert watched.watch.unwatched == {}


def test_which_folders_are_watched_for_a_file(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "etc/docker").mkdir(parents=True)
    (root / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    (root / "run").mkdir()

    found = wanted_watches(
        [root / "etc/docker/daemon.json", root / "etc/resolv.conf", root / "etc/app/config.toml", root / "etc/docker/x"]
    )

    assert found == [
        WantedWatch(root / "etc", Depth.NAMES, frozenset({"docker", "resolv.conf", "app"})),
        WantedWatch(root / "etc/docker", Depth.FILES, frozenset({"daemon.json", "x"})),
        WantedWatch(root / "run", Depth.NAMES, frozenset({"resolve"})),
    ]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")

    assert wanted_watches([root / "a/x"]) == [WantedWatch(root, Depth.NAMES, frozenset({"a", "b"}))]


# Many, and the end.


async def test_many_changes_are_few_wake_ups(watched: Watched) -> None:
    await watched.files(watched.config)
    watched.woken.clear()
    loop = asyncio.get_running_loop()
    start = loop.time()

    for _ in range(500):
        written(watched.config)
        await asyncio.sleep(0)
    await watched.at_rest()

    assert watched.woken
    assert len(watched.woken) <= 1 + (loop.time() - start) / GATHER_S


async def storm(watched: Watched, name: str) -> None:
    """Until its directory is listened to no more."""
    async with asyncio.timeout(WITHIN_S):
        while watched.config.parent not in watched.watch.resting:
            watched.config.with_name(name).touch()
            await asyncio.sleep(0)


async def listened_to_again(watched: Watched) -> None:
    async with asyncio.timeout(WITHIN_S):
        while watched.watch.resting:  # noqa: ASYNC110 - what it waits for is no event
            await asyncio.sleep(GATHER_S)


async def test_a_storm_of_names_that_do_not_count_wakes_nobody_and_hides_nothing(watched: Watched) -> None:
    await watched.files(watched.config)
    await storm(watched, "foo")

    written(watched.config)  # while nobody listens

    assert await watched.woke()
    await listened_to_again(watched)
    await storm(watched, "foo")
    await listened_to_again(watched)
    await watched.at_rest()
    assert watched.watch.resting == frozenset()


async def test_after_a_storm_that_changed_nothing_nobody_is_woken(watched: Watched) -> None:
    await watched.files(watched.config)
    before = len(watched.woken)

    await storm(watched, "foo")
    await listened_to_again(watched)
    await asyncio.sleep(GATHER_S * 3)

    assert len(watched.woken) == before


async def test_a_storm_leaves_other_directories_alone(watched: Watched) -> None:
    other = watched.root / "etc/policy"
    other.parent.mkdir()
    await watched.files(watched.config, other)
    await storm(watched, "foo")

    written(other)

    assert await watched.woke()


async def test_a_directory_that_goes_during_a_storm_is_told(watched: Watched) -> None:
    await watched.files(watched.config)
    await storm(watched, "foo")

    shutil.rmtree(watched.config.parent)

    assert await watched.woke()


async def test_what_is_asked_for_during_a_storm_is_followed_after_it(watched: Watched) -> None:
    await watched.files(watched.config)
    await storm(watched, "foo")
    also = watched.config.with_name("policy")

    watched.watch.watch([watched.config, also])
    await listened_to_again(watched)
    await watched.at_rest()
    written(also)

    assert await watched.woke()


async def test_what_is_no_longer_asked_for_after_a_storm_is_not_listened_to(watched: Watched) -> None:
    await watched.files(watched.config)
    await storm(watched, "foo")

    watched.watch.watch([])

    assert watched.watch.resting == frozenset()


async def test_closing_leaves_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    threads, before = set(threading.enumerate()), descriptors()
    wakeups = Wakeups()
    watch = FileWatch(wakeups.wake)
    watch.watch([tmp_path / "a", tmp_path / "b/c"])
    (tmp_path / "a").write_text("")

    watch.close()
    watch.close()

    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= threads
    assert descriptors() == before
    await wakeups.next(0)
    assert await wakeups.next(GATHER_S * 2) == frozenset()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
async def test_a_directory_closed_to_us_is_said(watched: Watched) -> None:
    watched.config.parent.chmod(0o300)

    watched.watch.watch([watched.config])

    assert watched.watch.unwatched == {watched.config.parent: "Permission denied"}
    watched.config.parent.chmod(0o700)

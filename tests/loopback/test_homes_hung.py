"""A home on a file system that hangs so that even SIGKILL waits: FUSE, whose server reads a request and is silent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.clients.descriptors import file_system, folder, held
from agent.clients.homes import HomeFile, Homes, Passed
from agent.clients.users import ThisSystem
from agent.service.watch.homes import HomeWatch
from agent.service.watch.paths import FileWatch
from agent.service.watch.wakeups import Wakeups
from agent.system.files import is_folder, is_there
from agent.values.errors import HomeSilent, TargetFailed
from tests.waiting import until_awaited

from .test_homes import CONFIG, MERGED, NEEDS_ROOT, Person, house, moves_in

__all__ = ["house"]  # the fixture

pytestmark = [
    NEEDS_ROOT,
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="this kernel has no FUSE"),
]

# linux/fuse.h
_HEADER: Final = struct.Struct("=IIQQIII4x")  # length, opcode, number, inode, uid, gid, pid
_INIT: Final = 26
_INIT_ANSWER: Final = struct.Struct("=IiQ IIIIHHII 36x")
_DETACH: Final = 2  # MNT_DETACH, sys/mount.h


class Request(msgspec.Struct, frozen=True):
    """What the kernel asks of the file system, and for whom."""

    uid: int
    pid: int


class HungFileSystem:
    """Mounted, and never answering."""

    def __init__(self, place: Path, user: int | None = None) -> None:
        """Of that user alone, or of everybody."""
        self._place = os.fsencode(place)
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._libc = ctypes.CDLL(None, use_errno=True)
        whose = "user_id=0,group_id=0,allow_other" if user is None else f"user_id={user},group_id={user}"
        options = f"fd={self._device},rootmode=40000,{whose}".encode()
        if self._libc.mount(b"hung", self._place, b"fuse", ctypes.c_ulong(0), options):
            number = ctypes.get_errno()
            os.close(self._device)
            raise OSError(number, os.strerror(number), str(place))
        _, _, number, *_ = self._read()
        os.write(self._device, _INIT_ANSWER.pack(_INIT_ANSWER.size, 0, number, 7, 31, 0, 0, 0, 0, 4096, 1))

    async def request(self) -> Request:
        """Waits for one; it stays without an answer for ever."""
        _, _, _, _, uid, _, pid = await asyncio.to_thread(self._read)
        return Request(uid, pid)

    def has_a_request(self) -> bool:
        return bool(select.select([self._device], [], [], 0)[0])

    def _read(self) -> tuple[int, ...]:
        assert select.select([self._device], [], [], 10)[0], "the kernel asks nothing"
        return _HEADER.unpack_from(os.read(self._device, 65536))

    def ends(self) -> None:
        """Its server is gone: the kernel lets everybody go who waits."""
        if self._device >= 0:
            os.close(self._device)
            self._device = -1
            assert self._libc.umount2(self._place, _DETACH) == 0


@pytest.fixture
def alice(house: Path) -> Person:
    return moves_in(house, "alice", 12345, 12345)


@pytest.fixture
def bob(house: Path) -> Person:
    return moves_in(house, "bob", 12346, 12346)


@pytest.fixture
def hung_home(alice: Person) -> Iterator[HungFileSystem]:
    hung = HungFileSystem(alice.home)
    yield hung
    hung.ends()


async def test_a_hung_home_blocks_only_itself(alice: Person, bob: Person, hung_home: HungFileSystem) -> None:
    bob.has()
    homes = Homes(within_s=2, at_once=2)
    reading = asyncio.create_task(homes.read(alice, alice.config))
    request = await hung_home.request()
    assert request.uid == alice.uid

    written = await homes.write(bob, bob.config, CONFIG, MERGED)

    assert written.after is not None
    assert not reading.done()
    with pytest.raises(TargetFailed, match=r"alice/\.docker/config\.json: no answer within 2 s; .*findmnt"):
        await reading
    assert _state(request.pid) == "D"  # killed in vain
    hung_home.ends()
    await until_awaited(10, lambda: _state(request.pid) == "gone", "the end of the helper")


async def test_no_second_helper_hangs_in_the_same_home(alice: Person, bob: Person, hung_home: HungFileSystem) -> None:
    bob.has()
    homes = Homes(within_s=0.5)
    reading = asyncio.create_task(homes.read(alice, alice.config))
    request = await hung_home.request()
    with pytest.raises(TargetFailed, match="no answer"):
        await reading
    while hung_home.has_a_request():  # the kernel tells the file system of the kill
        await hung_home.request()

    with pytest.raises(TargetFailed, match=r"config\.json: still does not answer"):
        await homes.read(alice, alice.config)
    with pytest.raises(TargetFailed, match="still does not answer"):
        await homes.write(alice, alice.config, None, MERGED, may_create=True)

    assert not hung_home.has_a_request()
    assert await homes.read(bob, bob.config) is not None
    hung_home.ends()
    await until_awaited(10, lambda: _state(request.pid) == "gone", "the end of the helper")  # not even a zombie
    assert await _answer_in_the_end(homes, alice) is None


async def test_a_link_into_a_hung_file_system_hangs_its_owners_helper_and_nobody_else(
    alice: Person, bob: Person, hung_home: HungFileSystem
) -> None:
    bob.has().unlink()
    bob.config.symlink_to(alice.config)
    wakeups = Wakeups()
    watch = HomeWatch(wakeups.wake)
    homes = Homes(within_s=2, watch=watch)

    reading = asyncio.create_task(homes.read(bob, bob.config))
    request = await hung_home.request()
    assert request.uid == bob.uid
    ticks = await _ticks_until(reading)

    assert ticks > 50  # of 10 ms, in 2 s: the loop went on
    with pytest.raises(TargetFailed, match="no answer within 2 s"):
        await reading
    assert not watch.is_still(bob, bob.config, 0)
    watch.close()
    hung_home.ends()
    await until_awaited(10, lambda: _state(request.pid) == "gone", "the end of the helper")


async def test_what_lies_on_a_hung_file_system_is_neither_asked_nor_watched(
    alice: Person, bob: Person, hung_home: HungFileSystem
) -> None:
    """Mounted just now, after mountinfo was read: as whoever looks at a home's name would find it."""
    watch = HomeWatch(Wakeups().wake)
    with pytest.raises(OSError, match="cross-device"):
        ThisSystem().entry(str(alice.home))
    with held(alice.home) as descriptor:
        assert (file_system(descriptor), folder(descriptor, "fuse")) == ("fuse", None)
        await watch.begin(bob, bob.config)
        await watch.follow(bob, bob.config, [Passed(descriptor, b"config.json")], is_whole=True)

    assert watch.is_still(bob, bob.config, 60)
    assert not watch.is_still(bob, bob.config, 0)  # not everything is watched
    assert not hung_home.has_a_request()
    watch.close()


async def test_a_home_that_is_mounted_over_is_not_begun(alice: Person, house: Path) -> None:
    threshold = alice.threshold
    hung = HungFileSystem(alice.home)
    watch = HomeWatch(Wakeups().wake)

    await watch.begin(msgspec.structs.replace(alice, seen_before=threshold), alice.config)

    assert not hung.has_a_request()
    hung.ends()
    watch.close()


async def test_a_way_that_cannot_be_looked_at_is_watched_as_far_as_it_can_be(alice: Person, house: Path) -> None:
    """FUSE without allow_other says EACCES to root, a long name ENAMETOOLONG: pathlib raises both (FACTS 66, 68)."""
    closed = HungFileSystem(alice.home, user=alice.uid)
    (house / "link").symlink_to(alice.home / "config.json")
    watch = FileWatch(Wakeups().wake)

    for way in (alice.home / "folder/config.json", house / ("a" * 300) / "config.json"):
        (house / "link").unlink()
        (house / "link").symlink_to(way)
        watch.watch([house / "link"])
        assert not is_folder(way)
        assert not is_there(way)

    watch.close()
    closed.ends()


async def _ticks_until(task: asyncio.Task[object]) -> int:
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    return ticks


async def _answer_in_the_end(homes: Homes, person: Person) -> HomeFile | None:
    """asyncio hears of the end of a process a moment after it."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(TargetFailed):
                return await homes.read(person, person.config)
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


async def test_a_helper_that_hangs_makes_way_for_who_waits(
    alice: Person, bob: Person, hung_home: HungFileSystem
) -> None:
    bob.has()
    homes = Homes(within_s=60, at_once=1)
    reading = asyncio.create_task(homes.read(alice, alice.config))
    request = await hung_home.request()

    assert await asyncio.wait_for(homes.read(bob, bob.config), 10) is not None
    with pytest.raises(HomeSilent, match="no answer within"):
        await reading
    hung_home.ends()
    await until_awaited(10, lambda: _state(request.pid) == "gone", "the end of the helper")

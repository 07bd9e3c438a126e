"""Wakes by what the relay says, and not by how often it says it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agent.one_pass.relay_report import state_of
from agent.service.watch.relay import RelayWatch
from agent.service.watch.wakeups import Wakeups
from agent.values.paths import Paths
from agent.values.reason import Reason
from agent.values.relay import Carried, RefusedSource, RelayState, UpstreamFailed, state_file

from .rest import at_rest

NEVER_S = 3600.0
RELAY = frozenset({Reason.RELAY})


class Folder:
    """The relay's own."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.path = self.paths.relay_state.parent
        self.path.mkdir(parents=True)
        self.wakeups = Wakeups()

    def says(self, state: RelayState) -> None:
        """As the relay does: replaced whole."""
        beside = self.path / "new"
        beside.write_bytes(state_file(state))
        os.replace(beside, self.paths.relay_state)  # noqa: PTH105

    def state(self) -> RelayState | None:
        return state_of(self.paths)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def failed(number: int) -> RelayState:
    return RelayState(1, failed=UpstreamFailed(number, "corp", "refused"))


async def test_it_wakes_by_a_failure_and_by_who_is_refused_and_by_no_number(folder: Folder) -> None:
    watch = RelayWatch(folder.wakeups.wake, apart_s=0.0, looks_s=0.0)
    folder.says(RelayState(1))
    watch.follow(folder.path, folder.state)
    try:
        for number in range(5):
            folder.says(RelayState(1, connections=number, carried=(Carried("corp", bytes_up=number),)))
        assert await folder.wakeups.next(0.3) == frozenset()

        folder.says(failed(1))
        assert await folder.wakeups.next(30) == RELAY

        folder.says(RelayState(1, failed=failed(1).failed, refused=(RefusedSource("192.0.2.7"),)))
        assert await folder.wakeups.next(30) == RELAY

        folder.says(RelayState(1, failed=failed(1).failed, refused=(RefusedSource("192.0.2.7"),), untold=("5 br-1",)))
        assert await folder.wakeups.next(30) == RELAY
    finally:
        watch.close()


async def test_it_wakes_at_most_once_in_a_while(folder: Folder) -> None:
    watch = RelayWatch(folder.wakeups.wake, apart_s=NEVER_S, looks_s=0.0)
    watch.follow(folder.path, folder.state)
    try:
        folder.says(failed(1))
        assert await folder.wakeups.next(30) == RELAY

        for number in range(2, 50):
            folder.says(failed(number))

        assert await folder.wakeups.next(0.3) == frozenset()
    finally:
        watch.close()


async def test_nor_does_what_is_done_to_the_folder_wake_more_often(folder: Folder) -> None:
    """It belongs to the relay's user, who may do with it what he likes."""
    watch = RelayWatch(folder.wakeups.wake, apart_s=NEVER_S, looks_s=0.0)
    watch.follow(folder.path, folder.state)
    try:
        folder.says(failed(1))
        assert await folder.wakeups.next(30) == RELAY

        for number in range(2, 20):
            folder.path.chmod(0o700 + number % 8)
            folder.says(failed(number))
            folder.path.rename(folder.path.with_name(f"gone-{number}"))
            folder.path.mkdir()
            watch.follow(folder.path, folder.state)

        assert await folder.wakeups.next(0.3) == frozenset()
    finally:
        watch.close()


async def test_what_came_too_soon_comes_later(folder: Folder) -> None:
    watch = RelayWatch(folder.wakeups.wake, apart_s=0.2, looks_s=0.0)
    watch.follow(folder.path, folder.state)
    try:
        folder.says(failed(1))
        assert await folder.wakeups.next(30) == RELAY

        folder.says(failed(2))

        assert await folder.wakeups.next(30) == RELAY
    finally:
        watch.close()


async def test_it_wakes_when_the_relay_is_gone_and_hears_the_next_one(folder: Folder) -> None:
    watch = RelayWatch(folder.wakeups.wake, apart_s=0.0, looks_s=0.0)
    folder.says(RelayState(1))
    watch.follow(folder.path, folder.state)
    try:
        folder.paths.relay_state.unlink()
        folder.path.rmdir()
        assert await folder.wakeups.next(30) == RELAY
        await at_rest(folder.wakeups, 30)
        watch.follow(folder.path, folder.state)  # there is none yet

        folder.path.mkdir()
        watch.follow(folder.path, folder.state)
        folder.says(failed(1))

        assert await folder.wakeups.next(30) == RELAY
    finally:
        watch.close()


async def test_a_link_in_its_place_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder.path.rename(elsewhere)
    folder.path.symlink_to(elsewhere)
    watch = RelayWatch(folder.wakeups.wake, apart_s=0.0, looks_s=0.0)
    watch.follow(folder.path, folder.state)
    try:
        (elsewhere / "more").touch()

        assert await folder.wakeups.next(0.3) == frozenset()
    finally:
        watch.close()


async def test_that_somebody_waits_is_passed_on_at_once_whenever_it_woke_last(folder: Folder) -> None:
    waits = asyncio.Event()
    watch = RelayWatch(folder.wakeups.wake, apart_s=NEVER_S, looks_s=0.0, somebody_waits=waits.set)
    watch.follow(folder.path, folder.state)
    try:
        folder.says(failed(1))
        assert await folder.wakeups.next(30) == RELAY
        folder.says(failed(2))  # which it will wake for much later
        await at_rest(folder.wakeups, 30)
        assert not waits.is_set()

        folder.says(RelayState(1, failed=failed(2).failed, untold=("5 br-1",)))
        await asyncio.wait_for(waits.wait(), 30)
        assert folder.wakeups.pending == frozenset()
    finally:
        watch.close()

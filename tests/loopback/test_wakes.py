"""How often a storm of news wakes the service, and how soon it hears of a change after one, in a real namespace."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.service.wakes import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, HostWakes
from agent.values.listening import LocalProxy
from agent.values.reason import Reason
from agent.values.relay import RelayState

from .test_watch_netlink import IP, inside, run

pytestmark = pytest.mark.needs_root

WAKES = 8  # of a storm of 2.5 s
AT_ONCE_S = 0.25  # a message wakes Python within 2 ms (FACTS 22)


async def nobody_is_meant(_proxy: LocalProxy) -> bool:
    raise AssertionError("no proxy is held here")


class Host:
    """A namespace with all that wakes the service there."""

    _numbers = itertools.count()

    def __init__(self, scratch: Path) -> None:
        self.name = f"wakes-{os.getpid()}-{next(self._numbers)}"
        run(IP, "netns", "add", self.name)
        with inside(self.name):  # a socket stays in the namespace that it was made in
            self.wakes = HostWakes(nobody_is_meant)
        self._container = scratch / "container"
        self._container.write_text("link add veth0 type veth peer name veth1\nlink delete veth0\n")

    def ip(self, *words: str) -> None:
        run(IP, "-n", self.name, *words)

    async def storm(self) -> None:
        """One container after the other comes and goes, until it is cancelled."""
        while True:
            await asyncio.to_thread(self.ip, "-batch", str(self._container))

    async def woken_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return Reason.NETWORK in await self.wakes.next(None)
        except TimeoutError:
            return False

    async def is_woken_at_once_when_it_was_still(self) -> bool:
        while await self.woken_within(LONGEST_PAUSE_S + 1):  # for longer than a storm is one
            pass
        self.ip("link", "set", "lo", "down")
        is_woken = await self.woken_within(AT_ONCE_S)
        self.ip("link", "set", "lo", "up")
        return is_woken

    def remove(self) -> None:
        self.wakes.close()
        run(IP, "netns", "del", self.name)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path)
    yield host
    host.remove()


@pytest.mark.waits
async def test_the_longer_a_storm_lasts_the_less_often_it_wakes(host: Host) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    storm = asyncio.create_task(host.storm())
    moments: list[float] = []
    for _ in range(WAKES):
        assert await host.woken_within(60)
        moments.append(loop.time() - began)
    storm.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await storm

    # Twice as long from one to the next, and no sooner. From the beginning: a busy machine may be late with any of them
    # and not with the next one.
    pauses = [min(SHORTEST_PAUSE_S * 2**doubled, LONGEST_PAUSE_S) for doubled in range(WAKES - 1)]
    leasts = [0.99 * sum(pauses[:before]) for before in range(WAKES)]
    assert all(moment >= least for moment, least in zip(moments, leasts, strict=True)), moments


@pytest.mark.waits
async def test_what_comes_in_a_storm_is_heard_of_and_after_it_the_first_message_wakes_at_once(host: Host) -> None:
    storm = asyncio.create_task(host.storm())
    for _ in range(4):
        assert await host.woken_within(LONGEST_PAUSE_S + 1)
    storm.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await storm

    host.ip("link", "set", "lo", "up")  # nobody listens just now

    assert await host.woken_within(LONGEST_PAUSE_S + 1)
    for _ in range(3):  # the machine may be busy
        if await host.is_woken_at_once_when_it_was_still():
            return
    pytest.fail(f"not within {AT_ONCE_S} s, three times")


async def test_of_a_new_bridge_and_of_who_waits_at_one_it_tells_also_during_a_pass(host: Host, tmp_path: Path) -> None:
    """Nobody takes meanwhile what wakes the service."""
    state = RelayState(1)
    host.wakes.heed_relay(tmp_path, lambda: state)
    for name in ("br-1", "br-2"):
        host.ip("link", "add", name, "type", "bridge")
        await asyncio.wait_for(host.wakes.bridges_told(), 30)
    with contextlib.suppress(TimeoutError):
        while True:  # what else came of them
            await asyncio.wait_for(host.wakes.bridges_told(), 0.3)

    state = RelayState(1, untold=("5 br-2",))
    (tmp_path / "state.json").touch()
    await asyncio.wait_for(host.wakes.bridges_told(), 30)

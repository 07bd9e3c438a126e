"""The end of a connection that is held to a proxy on this host, by real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from agent.service.watch.proxy import ProxyWatch
from agent.service.watch.wakeups import Wakeups
from agent.values.listening import LocalProxy
from agent.values.reason import Reason

WITHIN_S = 10.0
NEVER_S = 3600.0  # longer than any test


class Proxy:
    """One that listens, and can close what is idle, or die."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.heard = b""
        self.port = 0
        self._open: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        self.connections.put_nowait(writer)
        self.heard += await reader.read()

    async def connected(self) -> asyncio.StreamWriter:
        return await asyncio.wait_for(self.connections.get(), WITHIN_S)

    async def dies(self) -> None:
        """As the kernel does it: nobody listens, and then what was open ends."""
        self._server.close()
        for writer in self._open:
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    await proxy.start()
    yield proxy
    await proxy.dies()


class Watched:
    def __init__(self) -> None:
        self.woken: list[Reason] = []
        self.wakeups = Wakeups()
        self.is_owners = True
        self.watch = ProxyWatch(self._wake, self._is_meant)

    async def _is_meant(self, _proxy: LocalProxy) -> bool:
        return self.is_owners

    def _wake(self, reason: Reason) -> None:
        self.woken.append(reason)
        self.wakeups.wake(reason)

    async def woke(self) -> bool:
        return await self.wakeups.next(WITHIN_S) == {Reason.PROXY}


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    watched.watch.close()


async def test_a_proxy_that_dies_is_told_at_once_and_not_a_byte_was_sent(proxy: Proxy, watched: Watched) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)
    await proxy.connected()

    await proxy.dies()

    assert await watched.woke()
    assert proxy.heard == b""


async def test_one_that_shuts_down_closes_first_and_listens_for_a_moment_more(proxy: Proxy, watched: Watched) -> None:
    """As tinyproxy does: a bare connect right after the end still gets through."""
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)

    (await proxy.connected()).close()
    await proxy.connected()
    await proxy.dies()

    assert await watched.woke()


async def test_one_that_is_gone_before_it_is_held_is_told(watched: Watched) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        watched.watch.hold({LocalProxy("127.0.0.1", taken.getsockname()[1])}, NEVER_S)

        assert await watched.woke()


async def test_one_that_closes_what_is_idle_is_asked_once_and_left_alone_for_a_while(
    proxy: Proxy, watched: Watched
) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)

    (await proxy.connected()).close()
    await proxy.connected()  # the bare connect
    await asyncio.sleep(0.2)

    assert proxy.connections.empty()
    assert watched.woken == []


async def test_after_that_while_it_is_held_anew_and_its_loss_is_told(proxy: Proxy, watched: Watched) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, 0.05)
    (await proxy.connected()).close()
    await proxy.connected()
    await proxy.connected()  # held anew

    await proxy.dies()

    assert await watched.woke()


async def test_what_is_lost_is_told_once_and_again_after_it_was_there(proxy: Proxy, watched: Watched) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, 0.05)
    await proxy.connected()
    await proxy.dies()
    assert await watched.woke()
    await asyncio.sleep(0.3)  # some times more
    assert watched.woken == [Reason.PROXY]

    await proxy.start()
    await proxy.connected()
    await proxy.dies()

    assert await watched.woke()


async def test_one_that_talks_is_no_loss_and_is_left_alone(proxy: Proxy, watched: Watched) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)

    (await proxy.connected()).write(b"220 hello\r\n")
    await proxy.connected()
    await asyncio.sleep(0.2)

    assert proxy.connections.empty()
    assert watched.woken == []


async def test_what_is_held_already_is_not_held_twice_and_what_is_not_meant_any_more_is_let_go(
    proxy: Proxy, watched: Watched
) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)
    await proxy.connected()
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)
    await asyncio.sleep(0.1)
    assert proxy.connections.empty()

    watched.watch.hold((), NEVER_S)
    await proxy.dies()
    await asyncio.sleep(0.2)

    assert watched.woken == []


@pytest.mark.parametrize("again_s", [NEVER_S, 0.05], ids=["asked whether it lives", "held anew"])
async def test_who_listens_in_the_owners_place_is_not_connected_to(
    proxy: Proxy, watched: Watched, again_s: float
) -> None:
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port, "root")}, again_s)
    held = await proxy.connected()

    watched.is_owners = False
    held.close()

    assert await watched.woke()
    await asyncio.sleep(0.2)
    assert proxy.connections.empty()
    assert watched.woken == [Reason.PROXY]


async def test_who_has_the_owners_place_from_the_start_is_not_connected_to(proxy: Proxy, watched: Watched) -> None:
    watched.is_owners = False
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port, "root")}, NEVER_S)

    assert await watched.woke()
    assert proxy.connections.empty()


async def test_one_that_may_be_anybodys_is_held_whoever_listens(proxy: Proxy, watched: Watched) -> None:
    watched.is_owners = False
    watched.watch.hold({LocalProxy("127.0.0.1", proxy.port)}, NEVER_S)

    await proxy.connected()

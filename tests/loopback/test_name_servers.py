"""A DNS server on loopback that is asked whether it knows a name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.see.name_servers import unknown_to


class Server(asyncio.DatagramProtocol):
    """Knows `proxy.corp`; a name that begins with `quiet` gets no answer, and one with `odd` no DNS."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if b"quiet" in data:
            return
        if b"odd" in data:
            self.transport.sendto(b"?", addr)
            return
        status = 0 if b"\x05proxy\x04corp\x00" in data else 3
        self.transport.sendto(data[:2] + bytes([0x81, 0x80 | status]) + data[4:], addr)


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("name", "is_unknown"),
    [
        pytest.param("proxy.corp", False, id="known"),
        pytest.param("proxy.elsewhere", True, id="not-known"),
        pytest.param("quiet.corp", False, id="silence-is-no-answer"),
        pytest.param("odd.corp", False, id="no-dns"),
        pytest.param("a..b", False, id="no-name"),
    ],
)
async def test_what_a_server_knows(name: str, is_unknown: bool) -> None:
    async with server() as port:
        assert await unknown_to(["127.0.0.1"], name, port) == is_unknown


async def test_one_where_nobody_answers_is_passed_over() -> None:
    async with server() as port:
        assert await unknown_to(["no address", "127.0.0.2", "127.0.0.1"], "proxy.elsewhere", port)

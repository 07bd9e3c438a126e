"""Websockets through the relay, by a library that others use: tunnelled by CONNECT, and upgraded behind a whole URL."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from agent.values.relay import Orders
from tests.loopback.certificates import CORP, server_tls
from tests.loopback.peers import own_address, upstream
from tests.loopback.relays import PATIENCE_S, Relay, relay
from tests.loopback.servers import HOST

LARGE: Final = bytes(range(256)) * 4096  # 1 MB: frames of 64-bit length, masked on their way there


@asynccontextmanager
async def echo(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port."""

    async def say_again(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # with a code of the test's
            async for message in connection:
                await connection.send(message)

    async with serve(say_again, own_address(), 0, ssl=tls, max_size=None, compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


def believing() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CORP.configure_trust(context)
    return context


@asynccontextmanager
async def led_by(name: str, tmp_path: Path) -> AsyncIterator[Relay]:
    async with upstream(name, tmp_path) as way, relay(tmp_path / "root", Orders(1, (way,))) as one:
        await one.until_it_obeys(1)
        yield one


@pytest.mark.parametrize("is_tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("name", ["direct", "tinyproxy", "microsocks"])
async def test_frames_go_both_ways_through_a_tunnel(tmp_path: Path, name: str, is_tls: bool) -> None:
    tls = server_tls(own_address()) if is_tls else None
    async with led_by(name, tmp_path) as one, echo(tls) as port, asyncio.timeout(PATIENCE_S):
        url = f"{'wss' if is_tls else 'ws'}://{own_address()}:{port}/chat"
        at = f"http://{HOST}:{one.port}"
        async with connect(url, proxy=at, ssl=believing() if is_tls else None, max_size=None) as there:
            await there.send("hello")
            assert await there.recv() == "hello"
            await asyncio.gather(there.send(LARGE), there.send("after it"))
            assert [await there.recv(), await there.recv()] == [LARGE, "after it"]
            await (await there.ping())
            await there.close(code=4001, reason="enough")

        assert (there.close_code, there.close_reason) == (4001, "enough")
        one.running._state.write()
        (carried,) = one.state().carried
        assert (carried.upstream, carried.bytes_down > len(LARGE)) == (name, True)


@pytest.mark.parametrize("name", ["direct", "tinyproxy", "squid", "px"])
async def test_frames_go_both_ways_behind_a_whole_url(tmp_path: Path, name: str) -> None:
    """As clients ask that send `ws://` to a proxy like `http://`: the answer is 101, and what follows is a tunnel.

    Of px it would be none: it takes what follows for requests to itself.
    """
    async with led_by(name, tmp_path) as one, echo() as port, asyncio.timeout(PATIENCE_S):
        protocol = ClientProtocol(parse_uri(f"ws://{own_address()}:{port}/chat"), max_size=None)
        request = protocol.connect()
        request.path = f"http://{own_address()}:{port}/chat"
        protocol.send_request(request)
        client = await one.client()

        async def said() -> list[object]:
            """What has come, at least one thing; what the library has to say is sent."""
            while True:
                for data in protocol.data_to_send():
                    client.say(data)
                if events := protocol.events_received():
                    return list(events)
                protocol.receive_data(await client.some())

        (response,) = await said()
        assert isinstance(response, Response)
        assert response.status_code == 101

        protocol.send_binary(LARGE)
        protocol.send_text(b"after it")
        frames = [*await said()]
        while len(frames) < 2:
            frames += await said()
        assert [(one.opcode, bytes(one.data)) for one in frames if isinstance(one, Frame)] == [
            (Opcode.BINARY, LARGE),
            (Opcode.TEXT, b"after it"),
        ]

        protocol.send_close(4001, "enough")
        (last,) = await said()
        assert isinstance(last, Frame)
        assert last.opcode is Opcode.CLOSE
        assert await client.rest() == b""
        client.close()

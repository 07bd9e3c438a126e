"""A relay inside the test's process, with a folder of its own and sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from agent.probe.pac import ByChild
from agent.relay.process import Running
from agent.relay.visit import PATIENCE, Patience
from agent.system.files import read_file, replace_file
from agent.values.paths import Paths
from agent.values.relay import Orders, RelayState, RelayUpstream, orders_file, state_in
from tests.waiting import until_awaited

PATIENCE_S: Final = 20.0
DIRECT: Final = RelayUpstream("direct")


class Relay:
    """What a test knows of it."""

    def __init__(self, root: Path, *, patience: Patience = PATIENCE) -> None:
        self.paths = Paths(root)
        for folder in (self.paths.relay_orders.parent, self.paths.relay_state.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.said: list[str] = []
        self.log = root / "connections.jsonl"
        listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        listening.setblocking(False)
        self.port: int = listening.getsockname()[1]
        self.running = Running(
            self.paths, [listening], self.said.append, self.log, evaluator=ByChild(), patience=patience
        )

    def obey(self, orders: Orders) -> None:
        """What the agent writes."""
        self.written(orders_file(orders))

    def written(self, data: bytes) -> None:
        path = self.paths.relay_orders
        replace_file(path, data, expected=read_file(path))

    def state(self) -> RelayState:
        """What is in its file now."""
        found = read_file(self.paths.relay_state)
        assert found is not None
        return state_in(found.data, "state.json")

    async def until_it_obeys(self, generation: int) -> None:
        await until_awaited(PATIENCE_S, lambda: self.state().generation == generation, f"generation {generation}")

    async def client(self, source: str = "127.0.0.1") -> Client:
        async with asyncio.timeout(PATIENCE_S):
            return Client(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0)))

    async def tunnel(self, host: str, port: int) -> Client:
        """Its head is read."""
        client = await self.client()
        await client.connect(host, port)
        assert (await client.head()).startswith(b"HTTP/1.1 200 "), client.last
        return client


class Client:
    """Of a relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.last = b""

    async def connect(self, host: str, port: int) -> None:
        self.say(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    def say_no_more(self) -> None:
        self._writer.write_eof()

    async def head(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            self.last = await self._reader.readuntil(b"\r\n\r\n")
        return self.last

    async def heard(self, length: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readexactly(length)

    async def some(self) -> bytes:
        """What comes next; empty at the end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read(65536)

    async def rest(self) -> bytes:
        """Up to the end. ConnectionResetError if it was reset."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    async def echoes(self) -> bool:
        self.say(b"hello")
        return await self.heard(5) == b"hello"

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def relay(root: Path, orders: Orders | None = None, *, patience: Patience = PATIENCE) -> AsyncIterator[Relay]:
    """Running, and it has read these orders."""
    one = Relay(root, patience=patience)
    if orders is not None:
        one.obey(orders)
    one.running.start()
    try:
        yield one
    finally:
        await one.running.aclose()

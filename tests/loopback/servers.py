"""Small real servers on loopback: proxies, a registry, a portal, a black hole.

Each is an `async with`, knows the port it got, keeps what it was told, and reaches names by the table that it is given,
so that no test asks a resolver.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from agent.values.settings import ProxyUrl, Scheme

HOST = "127.0.0.1"
PATIENCE_S = 10.0  # for what should come at once


class Server:
    """Accepts and serves; at the end of its `async with` everybody must have gone: who leaves a socket open fails."""

    port: int

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = HOST) -> None:
        self.host = host
        self.heads: list[bytes] = []
        self.accepted = 0
        self._tls = tls
        self._asked = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._server.close()
        if failure is not None:
            for task in self._serving:
                task.cancel()
        await self.until_nobody_is_connected()

    async def until_nobody_is_connected(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._nobody.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self._serving)} still connected to {type(self).__name__}") from None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._serving.add(task)
        self._nobody.clear()
        try:
            await self.serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client, or the test, has gone: a server lives on
        finally:
            writer.transport.abort()
            self._serving.discard(task)
            if not self._serving:
                self._nobody.set()

    async def until_asked(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._asked.wait()

    def keep(self, head: bytes) -> bytes:
        self.heads.append(head)
        self._asked.set()
        return head

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        return self.keep(await reader.readuntil(b"\r\n\r\n"))

    def url(self, scheme: Scheme = Scheme.HTTP, host: str = "") -> ProxyUrl:
        return ProxyUrl(scheme, host or self.host, self.port)


class Says(Server):
    """Waits for a request, or does not, says these segments one by one, and closes or stays, as an echo if asked."""

    def __init__(
        self,
        *segments: bytes,
        tls: ssl.SSLContext | None = None,
        waits: bool = True,
        stays: bool = False,
        echoes: bool = False,
        host: str = HOST,
    ) -> None:
        super().__init__(tls, host)
        self._segments = segments
        self._waits = waits
        self._stays = stays
        self._echoes = echoes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._waits:
            self.keep(await reader.read(65536))
        for segment in self._segments:
            writer.write(segment)
            await writer.drain()
        if self._stays:
            while data := await reader.read(65536):
                writer.write(data if self._echoes else b"")
        else:
            writer.write_eof() if writer.can_write_eof() else writer.close()
            await reader.read()


class Cuts(Server):
    """Stands before an end that speaks TLS, and closes as if it was that end, in the midst of what it says."""

    def __init__(self, end: Server, *, whole: bool = False, and_more: int = 0) -> None:
        """After half of its first large record; or after the whole of that, and so many bytes of the next."""
        super().__init__()
        self._end = end
        self._whole, self._and_more = whole, and_more

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end_reader, end_writer = await asyncio.open_connection(self._end.host, self._end.port)
        to_end = asyncio.create_task(pump(reader, end_writer))
        try:
            length = 0
            while length < 8192:
                head = await end_reader.readexactly(5)
                length = int.from_bytes(head[3:], "big")
                body = await end_reader.readexactly(length)
                writer.write(head + (body if length < 8192 or self._whole else body[: length // 2]))
            if self._and_more:
                writer.write(await end_reader.readexactly(self._and_more))
            writer.write_eof()
            await to_end
        finally:
            to_end.cancel()
            end_writer.transport.abort()


class Registry(Server):
    """Answers `GET /v2/`, as often as asked."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        status: int = 401,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(tls)
        self._status = status
        self._headers = {"Docker-Distribution-Api-Version": "registry/2.0"} if headers is None else headers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.head(reader)
            headers = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
            writer.write(f"HTTP/1.1 {self._status} Whatever\r\n{headers}Content-Length: 2\r\n\r\n{{}}".encode())
            await writer.drain()


def Portal(*, to: str = "") -> Registry:  # noqa: N802 - a noun of these tests
    """Answers everything with its page, or with a redirect to it."""
    return Registry(status=302, headers={"Location": to}) if to else Registry(status=200, headers={})


class Proxy(Server):
    """Reaches host:port by its table; what stands in none is refused."""

    def __init__(
        self,
        reaches: Mapping[str, Server] | None = None,
        *,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = HOST,
    ) -> None:
        super().__init__(tls, host)
        self._reaches = reaches or {}
        self._login = login
        self.asked: list[str] = []
        self.refused_logins = 0

    async def join(self, end: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        """Both directions, until one of them ends."""
        server = self._reaches[end]
        end_reader, end_writer = await asyncio.open_connection(server.host, server.port)
        try:
            end_writer.write(first)
            await first_ended(pump(reader, end_writer), pump(end_reader, writer))
            await sent(writer)
        finally:
            end_writer.transport.abort()


class HttpProxy(Proxy):
    """CONNECT, absolute-form GET, Basic."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await self.head(reader)
        method, target, _ = head.split(b" ", 2)
        if self._login and basic(*self._login) not in head:
            self.refused_logins += 1
            writer.write(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
            await reader.read()
            return
        is_connect = method == b"CONNECT"
        end = target.decode() if is_connect else target.decode().removeprefix("http://").partition("/")[0]
        self.asked.append(end)
        if end not in self._reaches:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            return
        if is_connect:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self.join(end, reader, writer, b"" if is_connect else head)


class SocksProxy(Proxy):
    """CONNECT to names and IPv4 addresses, user and password; or one reply to everything."""

    def __init__(
        self, reaches: Mapping[str, Server] | None = None, *, login: tuple[str, str] | None = None, reply: int = 0
    ) -> None:
        super().__init__(reaches, login=login)
        self._reply = reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        method = 2 if self._login else 0
        if method not in offered:
            writer.write(b"\x05\xff")
            await reader.read()
            return
        writer.write(bytes([5, method]))
        if self._login and not await self._logs_in(reader, writer):
            return
        _, _, _, kind = await reader.readexactly(4)
        length = (await reader.readexactly(1))[0] if kind == 3 else 4
        name = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2), "big")
        end = f"{name.decode() if kind == 3 else socket.inet_ntoa(name)}:{port}"
        self.asked.append(end)
        writer.write(bytes([5, self._reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self._reply == 0:
            await self.join(end, reader, writer, b"")

    async def _logs_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, length = await reader.readexactly(2)
        user = (await reader.readexactly(length)).decode()
        password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        is_known = (user, password) == self._login
        writer.write(bytes([1, 0 if is_known else 1]))
        await writer.drain()
        if not is_known:
            self.refused_logins += 1
            await reader.read()
        return is_known


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode()) + b"\r\n"


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def sent(writer: asyncio.StreamWriter) -> None:
    """All of it is the kernel's by now. To await that a TLS connection is closed takes the other end's help."""
    transport = writer.transport
    tls = getattr(transport, "_ssl_protocol", None)
    while not transport.is_closing():
        below = transport if tls is None else tls._transport
        if below is None or not transport.get_write_buffer_size() + below.get_write_buffer_size():
            return
        await asyncio.sleep(0.01)


async def first_ended(*pumps: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(each) for each in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def black_hole() -> AsyncIterator[ProxyUrl]:
    """Connections are made and never answered."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen(64)
        yield ProxyUrl(Scheme.HTTP, HOST, listening.getsockname()[1])


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        port: int = bound.getsockname()[1]
        return port


async def path_asked(reader: asyncio.StreamReader) -> str | None:
    """Of one request; None: somebody connected only to see who listens."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    return head.split(b" ")[1].decode()

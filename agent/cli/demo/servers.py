"""A registry, proxies and a portal: small, real servers on loopback.

Each is an `async with` and knows its port. At the end all connections are closed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http
import json
from collections.abc import Mapping
from typing import Final, Self

import msgspec

from agent.cli.demo.names import HOST
from agent.values.secret import Secret

IMAGE: Final = "hello"
_MANIFEST: Final = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
).encode()


class HttpRequest(msgspec.Struct, frozen=True):
    """The head of a request; no request here has a body."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> HttpRequest:
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = (line.partition(":") for line in rest if line)
        return cls(method, target, {name.lower(): value.strip() for name, _, value in headers})


def response(status: http.HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer; the connection is then closed."""
    named = {**(headers or {}), "Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + body


class Server:
    """One request, one answer."""

    port: int

    def __init__(self) -> None:
        self._serving: set[asyncio.Task[None]] = set()

    async def answer(self, request: HttpRequest) -> bytes:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio calls this in a task
        self._serving.add(task)
        try:
            writer.write(await self.answer(await HttpRequest.read(reader)))
            await writer.drain()
        except (OSError, EOFError, ValueError):
            pass  # the client has gone, or does not speak HTTP
        except asyncio.CancelledError:
            pass  # the demo ends; Python 3.11 would log this
        finally:
            self._serving.discard(task)
            writer.close()


class Registry(Server):
    """Holds one image."""

    def __init__(self) -> None:
        super().__init__()
        self._headers = {"Docker-Distribution-Api-Version": "registry/2.0"}

    async def answer(self, request: HttpRequest) -> bytes:
        if request.target == "/v2/":
            return response(http.HTTPStatus.OK, b"{}", self._headers)
        if request.target == f"/v2/{IMAGE}/manifests/latest":
            digest = f"sha256:{hashlib.sha256(_MANIFEST).hexdigest()}"
            return response(http.HTTPStatus.OK, _MANIFEST, {**self._headers, "Docker-Content-Digest": digest})
        return response(http.HTTPStatus.NOT_FOUND, b"{}", self._headers)


class Portal(Server):
    """Redirects every request to its page."""

    async def answer(self, request: HttpRequest) -> bytes:  # noqa: ARG002 - every request gets the same answer
        return response(http.HTTPStatus.FOUND, headers={"Location": "http://portal.test/welcome"})


class Proxy(Server):
    """Fetches URLs of the hosts that it reaches, and denies all others. Asks for Basic if there is a login."""

    def __init__(self, reaches: Mapping[str, int], login: tuple[str, Secret] | None = None) -> None:
        super().__init__()
        self._reaches = reaches
        self._wants = login and _basic(*login)

    async def answer(self, request: HttpRequest) -> bytes:
        if self._wants and request.headers.get("proxy-authorization") != self._wants.reveal():
            challenge = {"Proxy-Authenticate": 'Basic realm="corp"'}
            return response(http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, headers=challenge)
        host, _, path = request.target.removeprefix("http://").partition("/")
        port = self._reaches.get(host)
        if port is None:
            return response(http.HTTPStatus.FORBIDDEN)
        return await _fetch(host, port, f"/{path}")


def _basic(user: str, password: Secret) -> Secret:
    return Secret("Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode())


async def _fetch(host: str, port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return await reader.read(-1)
    finally:
        writer.close()

"""Stands in for dockerd: as much of Docker 26's API as the agent needs, and pulls.

    python -m agent.cli.demo.engine ROOT

A process of its own, so that a restart is a real one. Like dockerd it reads daemon.json only when it starts, hides user
and password, and connects to registries as its settings say (FACTS 2, 7, 9). It ends on SIGTERM, and when its parent
ends. It runs no containers.
"""

from __future__ import annotations

import asyncio
import hashlib
import http
import json
import re
import signal
import sys
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from agent.cli.demo.names import Names
from agent.cli.demo.servers import HttpRequest, response
from agent.probe.dial import Ground
from agent.probe.exchange import HttpAnswer, ask
from agent.probe.no_proxy import excludes
from agent.probe.stream import Stream, StreamFailed, Via, open_proxy, open_stream
from agent.probe.through_proxy import authorization, known
from agent.values.settings import ProxyUrl, Texts, no_proxy, proxy

VERSION: Final = "stand-in"
API: Final = "1.45"
_PULL_WITHIN_S: Final = 5.0
_PORT: Final = 80  # its registry speaks plain HTTP, like one in `insecure-registries`

Reply = tuple[http.HTTPStatus, object]


class PullFailed(Exception):
    """Why, in one line."""


class StandInEngine:
    """One start of it, with the settings that it read then."""

    def __init__(self, root: Path) -> None:
        self.socket = root / "run/docker.sock"
        self._names = Names(root)
        self._proxies = _read(root / "etc/docker/daemon.json")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            status, document = await self._reply(await HttpRequest.read(reader))
            writer.write(response(status, json.dumps(document).encode(), {"Content-Type": "application/json"}))
            await writer.drain()
        except (OSError, EOFError, ValueError):
            pass  # a client that only tested the port, or has gone
        finally:
            writer.close()

    async def _reply(self, request: HttpRequest) -> Reply:
        url = urlsplit(request.target)
        path = re.sub(r"^/v1\.\d+(?=/)", "", url.path)
        match request.method, path:
            case "GET", "/version":
                component = {"Name": "Engine", "Version": VERSION}
                return http.HTTPStatus.OK, {"Version": VERSION, "ApiVersion": API, "Components": [component]}
            case "GET", "/info":
                return http.HTTPStatus.OK, self._info()
            case "GET", "/containers/json":
                return http.HTTPStatus.OK, []
            case "POST", "/images/create":
                return await self._pull(parse_qs(url.query).get("fromImage", [""])[0])
        return http.HTTPStatus.NOT_FOUND, {"message": "page not found"}

    def _info(self) -> dict[str, object]:
        return {
            "ServerVersion": VERSION,
            "HttpProxy": _masked(self._proxies.http),
            "HttpsProxy": _masked(self._proxies.https),
            "NoProxy": self._proxies.no_proxy,
            "LiveRestoreEnabled": False,
            "ContainersRunning": 0,
            "RegistryConfig": {"Mirrors": []},
            "Swarm": {"LocalNodeState": "inactive"},
        }

    async def _pull(self, image: str) -> Reply:
        host, _, name = image.partition("/")
        try:
            async with asyncio.timeout(_PULL_WITHIN_S):
                digest = await self._manifest(host, name)
        except PullFailed as error:
            return http.HTTPStatus.INTERNAL_SERVER_ERROR, {"message": str(error)}
        except StreamFailed as error:
            return http.HTTPStatus.INTERNAL_SERVER_ERROR, {"message": error.evidence}
        except TimeoutError:
            return http.HTTPStatus.INTERNAL_SERVER_ERROR, {"message": f"{host}: no answer"}
        return http.HTTPStatus.OK, {"status": f"Digest: {digest}"}

    async def _manifest(self, host: str, name: str) -> str:
        """The digest of the image's manifest, verified as by dockerd."""
        by = self._proxy_for(host)
        path = f"/v2/{name}/manifests/latest"
        via = Via(by, ground=Ground(self._names.resolve))
        if by is None:
            stream = await open_stream(host, _PORT, via)
            request = ask(b"GET", path, host)
        else:
            stream = await open_proxy(via)
            request = ask(b"GET", f"http://{host}{path}", host, authorization(known(by)))
        async with stream:
            head = await stream.converse(request)
            if head.status != http.HTTPStatus.OK:
                raise PullFailed(f"unexpected answer: {head.words}")
            digest = f"sha256:{hashlib.sha256(await _body(stream, head)).hexdigest()}"
        if digest not in head.values(b"docker-content-digest"):
            raise PullFailed(f"{host}: the manifest is not what its digest says")
        return digest

    def _proxy_for(self, host: str) -> ProxyUrl | None:
        if excludes(no_proxy(self._proxies.no_proxy), host, _PORT):
            return None
        found = proxy(self._proxies.http)
        return found if isinstance(found, ProxyUrl) else None  # dockerd ignores one that it cannot parse


async def _body(stream: Stream, head: HttpAnswer) -> bytes:
    length = int("".join(head.values(b"content-length")) or 0)
    body = head.rest
    while len(body) < length and (more := await stream.read()):
        body += more
    return body


def _read(path: Path) -> Texts:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Texts()
    proxies = json.loads(text or "{}").get("proxies", {})
    return Texts(*(proxies.get(key, "") for key in ("http-proxy", "https-proxy", "no-proxy")))


def _masked(url: str) -> str:
    return re.sub(r"(?<=://).*@", "xxxxx:xxxxx@", url)


async def _run(root: Path) -> None:
    engine = StandInEngine(root)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    # Nothing is written to it, so it becomes readable when the parent ends.
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    engine.socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(engine.serve, engine.socket)
    print("listening", flush=True)
    await stopped.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()


if __name__ == "__main__":
    try:
        asyncio.run(_run(Path(sys.argv[1])))
    except (OSError, ValueError, AttributeError) as error:
        sys.exit(f"unable to configure the Docker daemon with file /etc/docker/daemon.json: {error}")

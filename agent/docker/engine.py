"""dockerd's API over its socket: what it reports about itself.

Opening the socket of a stopped Docker starts it (FACTS 16), so the caller asks only when systemd says that it runs.
While a pull waits for a DNS server that is silent, Docker 20.10 does not answer /info; all else it answers at once
(FACTS 61). Not known here: what the values mean for a pass, and how Docker is restarted.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import h11
import msgspec

from agent.system.process_start import started
from agent.system.running_time import within
from agent.values.dockerd import Engine, Running
from agent.values.errors import EngineSilent
from agent.values.paths import Paths
from agent.values.policy import Docker
from agent.values.secret import escaped
from agent.values.settings import Texts

TIMEOUT_S: Final = 10.0  # a loaded dockerd takes seconds for /info, a dead one for ever
CONFIRMS_S: Final = 1.0  # for an /info that only confirms what is known
_LARGEST_ANSWER: Final = 4 * 1024 * 1024
_MOST_CONTAINERS: Final = 500  # that are counted

T = TypeVar("T", dict[str, Any], list[Any])


class _NotThere(h11.RemoteProtocolError):
    """404."""


class EngineSocket:
    """dockerd behind a Unix socket."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S, confirms_s: float = CONFIRMS_S) -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._confirms_s = confirms_s

    @classmethod
    def of(cls, paths: Paths, docker: Docker) -> EngineSocket:
        """Of the Docker of the policy."""
        return cls(paths.below(paths.socket(docker.socket)))

    async def report(self, is_known: Callable[[Engine], bool] = lambda _: False) -> Engine:
        """What dockerd reports of itself. EngineSilent if it does not answer, or not in time.

        `is_known`: whether its settings are known without /info. Then /info is not waited for long, and what only it
        tells is None.
        """
        try:
            async with within(self._timeout_s):
                version = await self._get("/version", dict)
                if is_known(_engine(version, None)):
                    return await self._confirmed(version)
                info = await self._get("/info", dict)
        except TimeoutError as error:
            raise self._silent(f"no answer within {self._timeout_s:.0f} s") from error
        except (OSError, h11.ProtocolError, msgspec.DecodeError) as error:
            raise self._silent(escaped(str(error))) from error
        return _engine(version, info)

    async def _confirmed(self, version: dict[str, Any]) -> Engine:
        try:
            async with within(self._confirms_s):
                return _engine(version, await self._get("/info", dict))
        except TimeoutError:
            listed = await self._get("/containers/json", list)
            return msgspec.structs.replace(_engine(version, None), containers_running=len(listed))

    async def running(self) -> frozenset[Running]:
        """The containers that run, also paused ones, but none that is between two starts. EngineSilent as `report`."""
        try:
            async with within(self._timeout_s):
                listed = await self._get("/containers/json", list)
                found = [await self._started(str(one.get("Id"))) for one in listed[:_MOST_CONTAINERS]]
        except TimeoutError as error:
            raise self._silent(f"no answer within {self._timeout_s:.0f} s") from error
        except (OSError, h11.ProtocolError, msgspec.DecodeError) as error:
            raise self._silent(escaped(str(error))) from error
        return frozenset(one for one in found if one is not None)

    async def ask(self, target: str, kind: type[T], within_s: float = TIMEOUT_S) -> T | None:
        """The answer to one GET; None: there is no such thing any more. EngineSilent as `report`."""
        try:
            async with within(min(within_s, self._timeout_s)):
                return await self._get(target, kind)
        except _NotThere:
            return None
        except TimeoutError as error:
            raise self._silent(f"no answer within {within_s:.0f} s") from error
        except (OSError, h11.ProtocolError, msgspec.DecodeError) as error:
            raise self._silent(escaped(str(error))) from error

    async def _started(self, container: str) -> Running | None:
        try:
            found = await self._get(f"/containers/{quote(container, safe='')}/json", dict)
        except _NotThere:  # removed meanwhile
            return None
        state = found.get("State") or {}
        is_up = state.get("Running") and not state.get("Restarting")
        name = escaped(str(found.get("Name", "")).removeprefix("/"), 100)
        is_auto_removed = bool((found.get("HostConfig") or {}).get("AutoRemove"))
        return Running(container, str(state.get("StartedAt", "")), name, is_auto_removed) if is_up else None

    def peer(self) -> str:
        """What tells one start of dockerd from another where no systemd does: pid and start time of who listens."""
        pid = self.listener()
        return f"{pid}-{started(pid)}"

    def listener(self) -> int:
        """Who listens there: systemd itself, where it has opened the socket. EngineSilent if nobody does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(self._timeout_s)
            try:
                client.connect(str(self.path))
            except OSError as error:
                raise self._silent(escaped(str(error))) from error
            pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    def _silent(self, what: str) -> EngineSilent:
        return EngineSilent(str(self.path), f"dockerd did not answer: {what}", "See: systemctl status docker")

    async def _get(self, target: str, kind: type[T]) -> T:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            http = h11.Connection(h11.CLIENT)
            request = h11.Request(method="GET", target=target, headers=[("Host", "docker"), ("Connection", "close")])
            writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
            status, body = await _answer(http, reader)
        finally:
            writer.close()
        if status == 404:
            raise _NotThere(f"{target} is not there")
        if status != 200:
            raise h11.RemoteProtocolError(f"{target} answered {status}")
        document = msgspec.json.decode(body)
        if not isinstance(document, kind):
            raise h11.RemoteProtocolError(f"{target} did not answer with a {kind.__name__}")
        return document


async def _answer(http: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _LARGEST_ANSWER:
                raise h11.RemoteProtocolError("the answer is too long")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("the connection was closed too early")


def _engine(version: dict[str, Any], info: dict[str, Any] | None) -> Engine:
    """Without `info`: only what /version tells."""
    components = version.get("Components") or []
    silent = Engine(
        version=escaped(str(version.get("Version", "?")), 40),
        api=_api(str(version.get("ApiVersion", ""))),
        is_podman=any("podman" in str(component.get("Name", "")).lower() for component in components),
        proxies=None,
        live_restore=None,
        is_swarm=None,
        containers_running=0,
    )
    if info is None:
        return silent
    swarm = info.get("Swarm") or {}
    mirrors = (info.get("RegistryConfig") or {}).get("Mirrors") or []
    return msgspec.structs.replace(
        silent,
        proxies=Texts(
            http=str(info.get("HttpProxy") or ""),
            https=str(info.get("HttpsProxy") or ""),
            no_proxy=str(info.get("NoProxy") or ""),
        ),
        live_restore=bool(info.get("LiveRestoreEnabled")),
        is_swarm=swarm.get("LocalNodeState", "inactive") not in ("inactive", ""),
        # A paused container dies with dockerd, too.
        containers_running=int(info.get("ContainersRunning") or 0) + int(info.get("ContainersPaused") or 0),
        registry_mirrors=tuple(str(mirror) for mirror in mirrors),
    )


def _api(text: str) -> tuple[int, int]:
    parts = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(parts[1]), int(parts[2])) if parts else (0, 0)

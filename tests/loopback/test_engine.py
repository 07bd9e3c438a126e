"""dockerd's containers, as its API lists them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.docker.engine import EngineSocket
from agent.values.dockerd import Running
from agent.values.errors import EngineSilent


@asynccontextmanager
async def engine(folder: Path, documents: Mapping[str, object]) -> AsyncIterator[EngineSocket]:
    """One that has these documents, and no others."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        body = json.dumps(documents.get(path, {"message": "no such container"})).encode()
        status = "200 OK" if path in documents else "404 Not Found"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_unix_server(answer, folder / "docker.sock")
    async with server:
        yield EngineSocket(folder / "docker.sock", timeout_s=5)


def inspected(name: str, started: str, **state: bool) -> dict[str, object]:
    return {"Name": f"/{name}", "State": {"StartedAt": started, **state}, "HostConfig": {"AutoRemove": name == "db"}}


async def test_those_that_run_and_since_when(tmp_path: Path) -> None:
    documents = {
        "/containers/json": [{"Id": one} for one in ("web", "paused", "loops", "ended", "gone")],
        "/containers/web/json": inspected("web-1", "2026-01-01T10:00:00.1Z", Running=True),
        "/containers/paused/json": inspected("db", "2026-01-01T11:00:00Z", Running=True, Paused=True),
        "/containers/loops/json": inspected("loop", "2026-01-01T12:00:00Z", Running=True, Restarting=True),
        "/containers/ended/json": inspected("job", "2026-01-01T13:00:00Z", Running=False),
    }

    async with engine(tmp_path, documents) as docker:
        found = await docker.running()

    assert found == {
        Running("web", "2026-01-01T10:00:00.1Z", "web-1"),
        Running("paused", "2026-01-01T11:00:00Z", "db", is_auto_removed=True),
    }


@pytest.mark.parametrize(
    "documents", [{}, {"/containers/json": {}}, {"/containers/json": "none"}], ids=["none", "an-object", "a-text"]
)
async def test_one_that_does_not_list_them_is_unknown_not_empty(tmp_path: Path, documents: dict[str, object]) -> None:
    async with engine(tmp_path, documents) as docker:
        with pytest.raises(EngineSilent):
            await docker.running()


async def test_more_than_anybody_has_are_not_all_asked_for(tmp_path: Path) -> None:
    documents: dict[str, object] = {"/containers/json": [{"Id": f"c{number}"} for number in range(2000)]}
    documents |= {f"/containers/c{number}/json": inspected("c", "t", Running=True) for number in range(2000)}

    async with engine(tmp_path, documents) as docker:
        assert len(await docker.running()) == 500

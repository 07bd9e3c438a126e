"""`docker pull`, by the engine's API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

from agent.cli.demo.stop import Pulled
from agent.values.secret import escaped

_WITHIN_S: Final = 10.0


async def pull(socket: Path, image: str) -> Pulled:
    """Pull with the engine that listens there."""
    async with asyncio.timeout(_WITHIN_S):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            writer.write(f"POST /v1.45/images/create?fromImage={image} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
    document = json.loads(body)
    is_ok = head.split(b" ", 2)[1] == b"200"
    return Pulled(is_ok, escaped(document["status"] if is_ok else document["message"]))

"""Who went where: a line for each connection in a file of its own, if that is asked for.

Time, source, host and port, upstream, bytes, and how it ended; never a path, a header or a password. Two files of 10 MB
at most.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from agent.values.secret import escaped

LARGEST: Final = 10 * 1000**2
_PRIVATE: Final = 0o640


class Line(msgspec.Struct, frozen=True):
    """One connection, or one request for a URL."""

    ts: str
    source: str
    host: str
    port: int
    upstream: str
    up: int  # bytes from the client
    down: int
    seconds: float
    result: str


class ConnectionsLog:
    """One file, and the one before it with `.1` behind its name."""

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self._path = path
        self._largest = largest
        self._file: int | None = None
        self._size = 0

    def write(self, line: Line) -> None:
        """OSError if it cannot be written."""
        safe = msgspec.structs.replace(line, host=escaped(line.host, 255), result=escaped(line.result, 300))
        data = msgspec.json.encode(safe) + b"\n"
        if self._file is not None and self._size + len(data) > self._largest:
            self.close()
            self._path.replace(f"{self._path}.1")
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, _PRIVATE)
            self._size = os.fstat(self._file).st_size
        os.write(self._file, data)
        self._size += len(data)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

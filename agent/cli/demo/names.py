"""The simulated name look-up: a file says where a name and a port lead, here on loopback.

The prober and the stand-in engine both use it, as both use resolv.conf on a laptop. Roaming rewrites it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.probe.dial import Address, Resolve, threaded

HOST = "127.0.0.1"


class Names:
    """The names that are known where the laptop is."""

    def __init__(self, root: Path) -> None:
        self._path = root / "run/names.json"

    def mean(self, ports: Mapping[str, int]) -> None:
        """Let these names lead to these ports of loopback, and all others nowhere."""
        self._path.write_text(json.dumps(dict(ports)))

    def _look_up(self, host: str, _port: int) -> Sequence[Address]:
        port = json.loads(self._path.read_text()).get(host)
        if port is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, (HOST, port))]

    @property
    def resolve(self) -> Resolve:
        """For everything that connects by name."""
        return threaded(self._look_up)

"""Whether a proxy at a local address has a turn for us."""

from __future__ import annotations

import socket
from pathlib import Path

from agent.probe.listens import serves
from agent.values.relay import Orders

from .relays import PATIENCE_S, relay


async def test_a_relay_answers_by_itself_wherever_it_leads_and_who_only_listens_does_not(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with relay(tmp_path, Orders(1)) as nowhere:
            assert await serves("127.0.0.1", nowhere.port, PATIENCE_S)
        assert not await serves("127.0.0.1", silent.getsockname()[1], 0.2)
    assert not await serves("127.0.0.1", silent_port(), PATIENCE_S)


def silent_port() -> int:
    """Where nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
        return port

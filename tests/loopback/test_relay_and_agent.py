"""The agent and the relay together, without systemd: two processes and two files between them."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.values.relay import Orders, RelayState, orders_in, state_in
from tests.waiting import Seen, until

from .installation import PASSWORD, Installation, is_offline, proxy

WITHIN_S = 30.0
pytestmark = pytest.mark.skipif(is_offline(), reason="a pass does nothing on a machine without a network")


class Both(Installation):
    """A machine whose policy has a relay at a port of its own."""

    def __init__(self, root: Path, port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.relay_port = free.getsockname()[1]
        super().__init__(root, port)

    def policy(self, use: str, *, is_on: bool = True) -> None:
        super().policy(use)
        text = self.paths.policy.read_text()
        on = f'[relay]\nenable = {str(is_on).lower()}\nport = {self.relay_port}\nlisten = ["loopback"]\n'
        self.write(self.paths.policy, f"{on}{text}".replace("[docker]", '[docker]\nmin_interval = "0s"'), 0o644)

    @contextmanager
    def relay(self) -> Iterator[None]:
        self.paths.relay_state.parent.mkdir(parents=True, exist_ok=True)
        self.paths.runtime.mkdir(parents=True, exist_ok=True)
        argv = self.command("relay", "--listen", f"127.0.0.1:{self.relay_port}")
        with subprocess.Popen(argv) as process:
            try:
                until(WITHIN_S, self.paths.relay_state.exists, "the relay says something")
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(WITHIN_S) == 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.relay_port}"

    def orders(self) -> Orders:
        return orders_in(self.paths.relay_orders.read_bytes(), "relay.json")

    def said(self) -> RelayState:
        return state_in(self.paths.relay_state.read_bytes(), "state.json")

    def goes_by(self, upstream: str) -> Seen:
        orders, said = self.orders(), self.said()
        is_told = orders.upstreams[0].name == upstream
        return Seen(is_told and said.generation == orders.generation, (upstream, said))

    def asks_the_registry(self) -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": self.address}))
        with opener.open("http://registry.test/v2/", timeout=WITHIN_S) as answer:
            return int(answer.status)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Both]:
    with proxy() as port, Both(tmp_path, port) as machine:
        yield machine


def test_docker_is_given_the_relay_and_another_upstream_costs_no_restart(machine: Both) -> None:
    with machine.relay():
        done = machine.ran("apply")
        assert done.returncode == 0, done.stderr
        before = machine.runs_with()
        assert before is not None
        assert before["http-proxy"] == machine.address
        until(WITHIN_S, lambda: machine.goes_by("office"), "the relay goes by office")
        assert machine.asks_the_registry() == 200
        starts = machine.starts

        machine.policy("branch")
        assert machine.ran("apply").returncode == 0

        until(WITHIN_S, lambda: machine.goes_by("branch"), "the relay goes by branch")
        assert machine.asks_the_registry() == 200
        assert machine.runs_with() == before
        assert machine.starts == starts
        assert PASSWORD not in machine.daemon_json.read_text()


def test_without_a_relay_docker_gets_the_upstream_itself(machine: Both) -> None:
    done = machine.ran("apply")

    assert done.returncode == 0, done.stderr
    assert "1 of 3 probes through the relay failed" in done.stdout
    runs_with = machine.runs_with()
    assert runs_with is not None
    assert f"127.0.0.1:{machine.port}" in runs_with["http-proxy"]


def test_switched_off_docker_gets_the_upstream_itself(machine: Both) -> None:
    with machine.relay():
        assert machine.ran("apply").returncode == 0
        machine.policy("office", is_on=False)

        assert machine.ran("apply").returncode == 0

        runs_with = machine.runs_with()
        assert runs_with is not None
        assert f"127.0.0.1:{machine.port}" in runs_with["http-proxy"]

"""The relay's units brought up by a systemd that does not do all that it is told."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from agent.cli.end_of_relay import end_relay
from agent.cli.session import record_for
from agent.decide.relay import listening as drop_in
from agent.one_pass.relay_units import SERVICE, SOCKET, RelayUnits
from agent.system.systemd import OF_THE_SYSTEM
from agent.values.errors import AgentError, TargetFailed
from agent.values.paths import Paths
from agent.values.policy import Policy

from .listeners import ME, SOMEBODY, listening, needs_root
from .test_unit import Systemd

HERE, THERE = ("127.0.0.1:3130", "172.17.0.1:3130"), ("127.0.0.1:3130", "10.9.0.1:3130")


def nothing() -> None: ...


class Relay:
    """Brought up once, and then systemd refuses something."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        self.paths = Paths(folder / "root")
        self.paths.relay_drop_in.parent.mkdir(parents=True)
        self.paths.relay_drop_in.write_text(drop_in(HERE))
        self._folder = folder
        self.units = RelayUnits(self.paths, OF_THE_SYSTEM)
        self.systemd = Systemd(folder, [{"ActiveState": "active"}])

    def refuses(self, **why: str) -> None:
        self.systemd = Systemd(self._folder, [{"ActiveState": "active"}], **why)

    @property
    def told(self) -> list[list[str]]:
        path = Path(f"{self._folder / 'systemctl'}.log")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relay:
    return Relay(tmp_path, monkeypatch)


async def test_a_move_that_systemd_does_not_read_stops_nothing(relay: Relay) -> None:
    """dockerd is at loopback, which does not move."""
    relay.refuses(daemon_reload="No space left on device")

    with pytest.raises(AgentError, match="No space left"):
        await relay.units.bring_up(THERE, nothing)

    assert relay.systemd.jobs == ["daemon-reload"]


async def test_one_that_could_not_be_stopped_is_started_all_the_same(relay: Relay) -> None:
    relay.refuses(stop="Job for docker-proxy-relay.service canceled.")

    await relay.units.bring_up(THERE, nothing)

    assert relay.told[-3:-1] == [["start", SOCKET], ["start", SERVICE]]
    assert relay.units.where() == THERE


async def test_one_that_cannot_be_enabled_is_up_all_the_same(relay: Relay) -> None:
    """Links in /etc are the last thing that it needs."""
    relay.refuses(is_enabled="disabled", enable="Read-only file system")

    with pytest.raises(AgentError, match="Read-only"):
        await relay.units.bring_up(THERE, nothing)

    assert ["start", SERVICE] in relay.told


@pytest.mark.parametrize("at", ["127.0.0.1", "0.0.0.0"])
async def test_a_port_that_is_taken_costs_nobody_the_one_that_works(relay: Relay, at: str) -> None:
    """systemd opens all of them or none: Docker and containers would be cut off."""
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server((at, 0)) as theirs:
        works, taken = (f"127.0.0.1:{one.getsockname()[1]}" for one in (ours, theirs))
        relay.paths.relay_drop_in.write_text(drop_in((works,)))

        with pytest.raises(TargetFailed, match=f"something else listens at {taken}; it keeps listening at {works}"):
            await relay.units.bring_up((taken, works), nothing)

        assert (relay.told, relay.units.where()) == ([], (works,))
    await relay.units.bring_up((taken, works), nothing)
    assert relay.units.where() == (taken, works)


async def test_one_that_is_down_is_started_even_so_and_systemd_says_what_is_in_the_way(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        taken = (f"127.0.0.1:{theirs.getsockname()[1]}",)
        await relay.units.bring_up(taken, nothing)
    assert ["start", SOCKET] in relay.told


@needs_root
def test_where_somebody_else_listens_the_relay_does_not(relay: Relay) -> None:
    """A probe through that one works, and everything would go by it."""
    with listening(SOMEBODY, "127.0.0.1") as stranger:
        theirs = (f"127.0.0.1:{stranger.port}",)
        assert relay.units.silent_at(theirs) == theirs
    with listening(ME, "127.0.0.1") as mine:
        assert relay.units.silent_at((f"127.0.0.1:{mine.port}",)) == ()


def test_where_nobody_listens_is_asked_for_each_port(relay: Relay) -> None:
    """After `relay.port` was changed there are two for a while."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        heard = [f"127.0.0.1:{at.getsockname()[1]}" for at in (one, other)]
        assert relay.units.silent_at(tuple(heard)) == ()
    assert relay.units.silent_at(tuple(heard)) == tuple(heard)


async def test_a_restore_ends_the_relay_with_its_passwords(relay: Relay) -> None:
    """Docker has the files from before, and whoever of this machine connects would still go by the company's proxy."""
    orders, policy = relay.paths.relay_orders, Policy()
    orders.parent.mkdir(parents=True)
    orders.write_text("s3cr3t")
    record = record_for("restore", relay.paths, policy)

    said = await end_relay(relay.paths, policy, record)

    stopped, unknown = said
    assert stopped == "relay        stopped, and disabled at boot"
    assert "Docker does not run, so it cannot be asked which containers" in unknown
    assert (relay.units.where(), orders.exists()) == (None, False)
    assert ["stop", SOCKET, SERVICE] in relay.told
    assert "relay-disabled" in relay.paths.audit_log.read_text()
    assert await end_relay(relay.paths, policy, record) == ()


async def test_while_docker_says_nothing_it_may_have_the_relay(relay: Relay) -> None:
    """As under heavy I/O (FACTS 61): where nothing listened any more, it would pull nothing until it is restarted."""
    relay.paths.relay_orders.parent.mkdir(parents=True)
    relay.paths.relay_orders.touch()
    docker = Path(relay.paths.below(relay.paths.socket("")))
    policy = Policy()
    record = record_for("restore", relay.paths, policy)

    async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(breaks_off, docker):
        (said,) = await end_relay(relay.paths, policy, record)

    assert said.startswith(
        "relay        stays, since Docker does not answer, and may still run with its address. After"
    )
    assert (relay.told, relay.units.where(), relay.paths.relay_orders.exists()) == ([], HERE, True)
    docker.unlink()  # noqa: ASYNC240 - a socket of this test
    assert "relay        stopped, and disabled at boot" in await end_relay(relay.paths, policy, record)

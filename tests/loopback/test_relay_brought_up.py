"""How the relay is brought up and moved: what can fail comes first, and what works is taken away last."""

from __future__ import annotations

import asyncio
import pwd
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.decide.relay import listening
from agent.one_pass.relay_units import SERVICE, SOCKET, Anew, RelayUnits
from agent.system.systemd import Systemd
from agent.values.errors import AgentError, TargetFailed, UnitFailed
from agent.values.paths import Paths
from tests.waiting import until_awaited

from .listeners import SOMEBODY, needs_root
from .listeners import listening as listening_as
from .test_held_addresses import as_systemd, takes

HERE = ("127.0.0.1:3130",)
MOVED = ("127.0.0.1:3130", "10.99.0.1:3130")
UP = [f"start {SOCKET}", "user", f"start {SERVICE}"]
READY = [f"reset-failed {SOCKET} {SERVICE}"]
ENABLED = [f"is-enabled --quiet {SOCKET}"]


class Recorded(Systemd, frozen=True):
    """A systemd that notes what it is asked, and fails at what it is told to."""

    asked: list[str] = msgspec.field(default_factory=list)
    fails: set[str] = msgspec.field(default_factory=set)
    does: dict[str, Callable[[], Awaitable[None]]] = msgspec.field(default_factory=dict)

    async def call(self, *arguments: str) -> str:
        self.asked.append(" ".join(arguments))
        if arguments[0] in self.does:
            await self.does[arguments[0]]()
        if arguments[0] in self.fails:
            raise UnitFailed(arguments[0], "did not end within 30 s")
        return ""

    async def says(self, *arguments: str) -> bool:
        await self.call(*arguments)
        return True

    async def show(self, _: Iterable[str], units: Sequence[str]) -> list[dict[str, str]]:
        return [{"ActiveState": "failed", "Result": "resources"} for _ in units]


class Up:
    """Brought up here, and asked nothing yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drop_in = Paths(root).relay_drop_in
        self.drop_in.parent.mkdir(parents=True)
        self.drop_in.write_text(listening(HERE))
        self.systemd = Recorded()
        self.units = RelayUnits(Paths(root), self.systemd)

    async def goes(self, where: tuple[str, ...], anew: Anew = Anew.NOTHING) -> list[str]:
        await self.units.bring_up(where, lambda: self.systemd.asked.append("user"), anew=anew)
        return self.systemd.asked


@pytest.fixture
def up(tmp_path: Path) -> Up:
    return Up(tmp_path)


async def test_one_that_is_up_is_only_seen_to(up: Up) -> None:
    assert await up.goes(HERE) == [*READY, *UP, *ENABLED]


async def test_one_that_moves_is_written_and_read_before_it_is_stopped(up: Up) -> None:
    assert await up.goes(MOVED) == ["daemon-reload", f"stop {SOCKET} {SERVICE}", *READY, *UP, *ENABLED]
    assert up.units.where() == MOVED


async def test_the_sockets_of_one_that_hangs_stay_open(up: Up) -> None:
    assert await up.goes(HERE, Anew.SERVICE) == [*READY, *UP[:2], f"restart {SERVICE}", *ENABLED]


async def test_what_systemd_has_not_read_is_read_now(up: Up) -> None:
    assert await up.goes(HERE, Anew.ALL) == ["daemon-reload", f"stop {SOCKET} {SERVICE}", *READY, *UP, *ENABLED]


async def test_one_whose_place_cannot_be_written_is_not_touched(up: Up) -> None:
    up.drop_in.unlink()
    up.drop_in.parent.rmdir()
    up.drop_in.parent.write_text("a file where a folder should be")

    with pytest.raises(TargetFailed):
        await up.goes(MOVED)

    assert up.systemd.asked == []


async def test_one_whose_place_is_not_read_is_not_stopped(up: Up) -> None:
    up.systemd.fails.add("daemon-reload")

    with pytest.raises(TargetFailed, match=r"did not end within 30 s; it keeps listening at 127\.0\.0\.1:3130"):
        await up.goes(MOVED)

    assert up.systemd.asked == ["daemon-reload"]
    assert up.units.where() == HERE  # else the next try would think that systemd knows it

    up.drop_in.unlink()
    with pytest.raises(TargetFailed):
        await up.goes(HERE)
    assert up.units.where() is None

    up.systemd.fails.clear()
    up.systemd.asked.clear()
    assert (await up.goes(MOVED))[0] == "daemon-reload"


@pytest.mark.parametrize("fails", ["is-enabled", "reset-failed"])
async def test_it_is_started_whatever_failed_on_the_way(up: Up, fails: str) -> None:
    up.systemd.fails.add(fails)

    with pytest.raises(AgentError):
        await up.goes(MOVED)

    assert [one for one in up.systemd.asked if one in UP] == UP


@needs_root
@pytest.mark.parametrize("shares", [True, False], ids=["now", "as-an-earlier-version-listened"])
async def test_what_stays_is_nobodys_while_it_is_stopped(up: Up, *, shares: bool) -> None:
    opened = [as_systemd("127.0.0.1", shares=shares)]
    port = opened[0].getsockname()[1]
    stays, tries = f"127.0.0.1:{port}", []
    up.drop_in.write_text(listening((stays,)))

    async def stop() -> None:
        opened.pop().close()
        if shares:
            tries.append(await asyncio.to_thread(takes, "127.0.0.1", port))

    async def reset_failed() -> None:
        tries.append(await asyncio.to_thread(takes, "127.0.0.1", port))

    async def start() -> None:
        if not opened:
            opened.append(as_systemd("127.0.0.1", port))

    up.systemd.does.update({"stop": stop, "reset-failed": reset_failed, "start": start})

    await up.goes((stays, "10.99.0.1:3130"))

    assert set.union(*tries) == {"EADDRINUSE"}
    opened.pop().close()
    assert await asyncio.to_thread(takes, "127.0.0.1", port) == {str(port)}


async def test_a_unit_that_shares_nothing_is_started_all_the_same(up: Up) -> None:
    opened: list[socket.socket] = []
    with as_systemd("127.0.0.1") as free:
        port = free.getsockname()[1]
    up.drop_in.write_text(listening((f"127.0.0.1:{port}",)))

    async def start() -> None:
        try:
            opened.append(as_systemd("127.0.0.1", port, shares=False))
        except OSError as failure:
            raise UnitFailed("start", str(failure)) from failure
        up.systemd.does.clear()

    up.systemd.does["start"] = start

    await up.goes((f"127.0.0.1:{port}", "10.99.0.1:3130"))

    assert up.systemd.asked[-5:] == [f"reset-failed {SOCKET}", *UP, *ENABLED]
    opened.pop().close()


async def test_one_that_waits_for_open_connections_is_told_again_to_end(up: Up) -> None:
    async def stop() -> None:
        await until_awaited(20, lambda: up.systemd.asked[-1] == f"kill --signal=TERM {SERVICE}", "that it is told")

    up.systemd.does["stop"] = stop

    assert await up.goes(MOVED) == [
        "daemon-reload", f"stop {SOCKET} {SERVICE}", f"kill --signal=TERM {SERVICE}", *READY, *UP, *ENABLED,
    ]  # fmt: skip


@needs_root
async def test_who_has_taken_its_place_is_named(up: Up) -> None:
    up.systemd.fails.add("start")
    with listening_as(SOMEBODY, "127.0.0.1") as stranger:
        where = (f"127.0.0.1:{stranger.port}",)
        passwd = Paths(up.root).below("/etc/passwd")
        passwd.parent.mkdir(exist_ok=True)
        uid = pwd.getpwnam(SOMEBODY).pw_uid
        passwd.write_text(f"alice:x:{uid}:{uid}::/home/alice:/bin/sh\n")

        assert up.units.strangers_at((*where, "127.0.0.2:1")) == {where[0]: "alice"}
        with pytest.raises(AgentError, match=rf"\(resources: a program of alice listens at {where[0]}\)"):
            await up.goes(where)
    with as_systemd("127.0.0.1") as ours:
        assert up.units.strangers_at((f"127.0.0.1:{ours.getsockname()[1]}",)) == {}


def test_whether_it_listens_is_asked_of_the_kernel(up: Up) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert up.units.silent_at((f"127.0.0.1:{port}", f"127.0.0.2:{port}")) == (f"127.0.0.2:{port}",)

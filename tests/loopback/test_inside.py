"""Connections and names from within another process's network, which a helper enters as its user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.docker.inside import Inside
from agent.docker.process import command_line
from agent.docker.vantage import vantage
from agent.probe.dial import Ground
from agent.probe.stream import StreamFailed, Via, open_stream
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import Outcome
from tests.waiting import until_awaited

HERE: Final = "127.0.0.1"
NAMESPACES: Final = ("unshare", "--user", "--map-root-user", "--net", "--mount")
# As rootlesskit, which dockerd is a child of, and as what slirp4netns brings up there.
WORLD: Final = """
set -e
ip link set lo up
ip link add tap0 type veth peer name wire
ip address add 10.0.2.100/24 dev tap0
ip link set tap0 up
ip link set wire up
ip route add default via 10.0.2.2
mount --bind "$1" /etc/hosts
exec "$2" -c "$3"
"""
LISTENS: Final = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    peer, address = listener.accept()
    peer.sendall(b"hello from inside\\n")
    peer.close()
"""


class Other:
    """A process in namespaces of its own, that listens on the loopback there."""

    def __init__(self, folder: Path) -> None:
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost only-inside.test\n")
        argv = (*NAMESPACES, "sh", "-c", WORLD, "sh", str(hosts), sys.executable, LISTENS)
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid  # each exec keeps it

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    if subprocess.run((*NAMESPACES, "true"), check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("no user namespaces here")
    made = Other(tmp_path)
    yield made
    made.end()


@pytest.fixture
async def inside(other: Other) -> AsyncIterator[Inside]:
    made = Inside(other.pid)
    yield made
    made.end()


def helpers() -> list[int]:
    """Those that are our children, by number."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"inside_helper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no Path for each


async def test_a_connection_is_made_from_there(other: Other, inside: Inside) -> None:
    with pytest.raises(ConnectionRefusedError), socket.create_connection((HERE, other.port)):
        raise AssertionError("nothing listens there on this host")

    with await inside.connect(socket.AF_INET, (HERE, other.port)) as connected:
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(connected, 100) == b"hello from inside\n"
        assert connected.getsockname()[0] == HERE


async def test_what_only_this_host_has_is_not_there(inside: Inside) -> None:
    with socket.create_server((HERE, 0)) as here, pytest.raises(ConnectionRefusedError):
        await inside.connect(socket.AF_INET, (HERE, here.getsockname()[1]))


@pytest.mark.waits
async def test_names_are_those_of_there(other: Other, inside: Inside) -> None:
    found = await inside.resolve("only-inside.test", other.port)

    assert (socket.AF_INET, (HERE, other.port)) in found
    with pytest.raises(socket.gaierror):
        await inside.resolve("nowhere.invalid", 80)
    with pytest.raises(UnicodeError):
        await inside.resolve(f"{'a' * 70}ä.test", 80)


async def test_a_probe_stands_on_it(other: Other, inside: Inside) -> None:
    via = Via(ground=Ground(inside.resolve, inside.connect))

    async with await open_stream("only-inside.test", other.port, via) as stream:
        assert await stream.read() == b"hello from inside\n"
    with pytest.raises(StreamFailed) as failed:
        await open_stream(HERE, 1, via)
    assert failed.value.outcome is Outcome.REFUSED


async def test_many_ask_at_once_and_get_their_own_answers(other: Other, inside: Inside) -> None:
    async def one(number: int) -> None:
        if number % 3:
            with await inside.connect(socket.AF_INET, (HERE, other.port)) as connected:
                assert connected.getpeername() == (HERE, other.port)
        else:
            assert {address[1] for _, address in await inside.resolve("localhost", number + 1)} == {number + 1}

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(one(number))

    assert len(helpers()) == 1


async def test_who_gives_up_leaves_nothing_open(other: Other, inside: Inside) -> None:
    (await inside.connect(socket.AF_INET, (HERE, other.port))).close()
    before = open_files()

    for number in range(40):
        asked = asyncio.ensure_future(inside.connect(socket.AF_INET, (HERE, other.port)))
        for _ in range(number % 8):
            await asyncio.sleep(0.0005 * (number % 2))
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await asked).close()

    (await inside.connect(socket.AF_INET, (HERE, other.port))).close()  # all answers before this one are here
    assert open_files() == before


async def test_it_is_ended_once_idle_and_started_again(other: Other) -> None:
    inside = Inside(other.pid, idle_s=0.05)
    (await inside.connect(socket.AF_INET, (HERE, other.port))).close()

    await until_awaited(10, lambda: not helpers(), "the helper has ended")
    (await inside.connect(socket.AF_INET, (HERE, other.port))).close()
    inside.end()
    assert not helpers()


async def test_one_that_was_killed_is_replaced_by_another(other: Other, inside: Inside) -> None:
    await inside.resolve("localhost", 1)
    (first,) = helpers()

    os.kill(first, signal.SIGKILL)

    (await inside.connect(socket.AF_INET, (HERE, other.port))).close()
    (second,) = helpers()
    assert second != first


async def test_a_process_that_is_gone_is_not_mistaken_for_another(other: Other, inside: Inside) -> None:
    other.end()

    with pytest.raises(OSError, match="cannot be entered"):
        await inside.connect(socket.AF_INET, (HERE, other.port))


async def test_another_network_under_the_same_number_is_not_entered(other: Other) -> None:
    inside = Inside(other.pid)
    inside._network += 1

    with pytest.raises(OSError, match="cannot be entered: that dockerd is gone"):
        await inside.connect(socket.AF_INET, (HERE, other.port))


async def test_it_does_not_outlive_who_asked(other: Other) -> None:
    script = (
        "import asyncio, os, socket\n"
        "from agent.docker.inside import Inside\n"
        "async def ask():\n"
        f"    inside = Inside({other.pid})\n"
        f"    await inside.connect(socket.AF_INET, ('127.0.0.1', {other.port}))\n"
        "    print(inside._helper._process.pid, flush=True)\n"
        "    os._exit(0)\n"
        "asyncio.run(ask())\n"
    )
    said = await asyncio.to_thread(subprocess.run, (sys.executable, "-c", script), check=True, capture_output=True)

    await until_awaited(10, lambda: not command_line(int(said.stdout)), "the helper is gone")


@contextlib.contextmanager
def rootlesskit(*arguments: str) -> Iterator[int]:
    """A process with these, that runs."""
    argv = ("sh", "-c", "echo; read _", "rootlesskit", *arguments)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid


@pytest.mark.parametrize(
    ("main", "seen"),
    [
        pytest.param(("--net=slirp4netns",), Vantage(is_host=False, gateway="10.0.2.2", has_ipv6=False), id="slirp"),
        pytest.param(("--net", "pasta"), Vantage(is_host=False, gateway="10.0.2.2", has_ipv6=False), id="pasta"),
        pytest.param(("--net=lxc-user-nic",), Vantage(is_host=False, has_ipv6=False), id="a-gateway-elsewhere"),
        pytest.param(
            ("--net=slirp4netns", "--disable-host-loopback"),
            Vantage(is_host=False, gateway="10.0.2.2", is_closed=True, has_ipv6=False),
            id="closed",
        ),
        pytest.param(
            ("--net=pasta", "--disable-host-loopback=true"),
            Vantage(is_host=False, is_closed=True, has_ipv6=False),
            id="closed-pasta-whose-gateway-is-another-machine",
        ),
        pytest.param(
            ("--net=slirp4netns", "--net=lxc-user-nic"),
            Vantage(is_host=False, has_ipv6=False),
            id="the-last-one-counts",
        ),
        pytest.param((), Vantage(is_host=False, has_ipv6=False), id="unknown"),
    ],
)
def test_where_it_stands_is_told_by_its_process(other: Other, main: tuple[str, ...], seen: Vantage) -> None:
    with rootlesskit(*main) as pid:
        assert vantage(other.pid, pid) == seen


@pytest.mark.parametrize("knows", [False, True])
def test_whether_the_script_knows_the_switch(other: Other, tmp_path: Path, *, knows: bool) -> None:
    script = tmp_path / "dockerd-rootless.sh"
    script.write_text("# DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK\n" if knows else "# nothing\n")
    with rootlesskit(str(script)) as pid:
        seen = vantage(other.pid, pid)
        assert seen is not None
        assert seen.knows_switch is knows


def test_one_beside_us_stands_on_this_host() -> None:
    assert vantage(os.getpid(), os.getppid()) == HOST
    with subprocess.Popen((*NAMESPACES[:-2], "sh", "-c", "echo; read _"), stdin=-1, stdout=-1) as in_our_network:
        assert in_our_network.stdout is not None
        in_our_network.stdout.readline()
        assert vantage(in_our_network.pid, os.getpid()) == HOST


def shows_nothing(process: Path) -> None:
    """As during execve(2)."""
    (process / "ns/net").unlink()


def has_no_routes(process: Path) -> None:
    """As one that has ended, and that nobody has waited for."""
    (process / "net/route").unlink()


def is_another(process: Path) -> None:
    """Where the number went to another process meanwhile, the files are of both."""
    (process / "stat").unlink()


@pytest.mark.parametrize("meanwhile", [shows_nothing, has_no_routes, is_another, None])
def test_what_a_process_does_not_show_now_is_not_known(
    tmp_path: Path, meanwhile: Callable[[Path], None] | None
) -> None:
    for name, number in (("7", "1"), ("self", "2")):
        for kind in ("user", "net"):
            link = tmp_path / name / "ns" / kind
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"{kind}:[{number}]")
    (tmp_path / "7/net").mkdir()
    (tmp_path / "7/net/route").write_text("Iface\tDestination\tGateway\n")
    (tmp_path / "7/stat").write_text(f"7 (dockerd) S{' 0' * 40}\n")
    (tmp_path / "6").mkdir()
    (tmp_path / "6/cmdline").write_bytes(b"rootlesskit\0--net=slirp4netns\0")
    assert vantage(7, 6, tmp_path) == Vantage(is_host=False, has_ipv6=False)

    if meanwhile is None:
        (tmp_path / "6/cmdline").unlink()
    else:
        meanwhile(tmp_path / "7")

    assert vantage(7, 6, tmp_path) is None


def test_one_that_is_gone_stands_nowhere(other: Other) -> None:
    other.end()
    assert vantage(other.pid, os.getpid()) is None
    assert vantage(0, os.getpid()) is None


async def test_whatever_goes_wrong_with_a_name_is_answered(inside: Inside) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(OSError, match="the look-up failed: OverflowError"):
            await inside.resolve("localhost", 1 << 70)
        assert await inside.resolve("localhost", 1)


async def test_all_get_their_answer_where_many_must_wait_to_ask(inside: Inside) -> None:
    await inside.resolve("localhost", 1)
    (helper,) = helpers()
    os.kill(helper, signal.SIGSTOP)
    asked = [asyncio.ensure_future(inside.resolve("localhost", 1)) for _ in range(2000)]
    await asyncio.sleep(0)  # each has been sent, or waits for room
    os.kill(helper, signal.SIGCONT)

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*asked, return_exceptions=True)

    # Too many names at once are refused, which is an answer, too.
    assert {type(one) for one in answers} <= {list, socket.gaierror}

"""What the kernel tells of a network namespace: real links, addresses, routes and rules, made by `ip`."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.service.watch.netlink import NetworkWatch
from agent.service.watch.wakeups import Wakeups
from agent.values.reason import Reason

from .rest import at_rest

pytestmark = pytest.mark.needs_root

IP: Final = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"
WITHIN_S: Final = 30.0
_CLONE_NEWNET: Final = 0x40000000


class Laptop:
    """A namespace with a wlan0 that is not up, and the watch of it in this process."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self.name = f"watch-{os.getpid()}-{next(self._numbers)}"
        self.woken: list[Reason] = []
        self.wakeups = Wakeups()
        run(IP, "netns", "add", self.name)
        self.ip("link add wlan0 type veth peer name lan")
        with inside(self.name):  # a socket stays in the namespace that it was made in
            self.watch = NetworkWatch(self._wake)

    def ip(self, *commands: str) -> None:
        for command in commands:
            run(IP, "-n", self.name, *command.split())

    def batch(self, file: Path) -> None:
        run(IP, "-n", self.name, "-batch", str(file))

    async def at_rest(self) -> None:
        """What the kernel still had to tell of what was done is told."""
        await at_rest(self.wakeups, WITHIN_S)
        self.woken.clear()

    def remove(self) -> None:
        self.watch.close()
        run(IP, "netns", "del", self.name)

    def _wake(self, reason: Reason) -> None:
        self.woken.append(reason)
        self.wakeups.wake(reason)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread is in the namespace of that name."""
    with Path("/proc/self/ns/net").open() as home, Path(f"/run/netns/{name}").open() as there:
        setns(there.fileno())
        try:
            yield
        finally:
            setns(home.fileno())


def setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.setns(descriptor, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@pytest.fixture
async def laptop() -> AsyncIterator[Laptop]:
    laptop = Laptop()
    await laptop.at_rest()
    yield laptop
    laptop.remove()


@pytest.mark.parametrize(
    "command",
    [
        # Each is told to one group only: the link is not up, so that an address makes no route.
        pytest.param("link set wlan0 mtu 1400", id="link"),
        pytest.param("addr add 10.10.0.7/16 dev wlan0", id="ipv4-address"),
        pytest.param("addr add 2001:db8::7/64 dev wlan0 nodad", id="ipv6-address"),
        pytest.param("route add blackhole 10.99.0.0/16", id="ipv4-route"),
        pytest.param("-6 route add blackhole 2001:db8:99::/48", id="ipv6-route"),
        pytest.param("rule add not fwmark 0xca6c table 51820", id="ipv4-rule"),
        pytest.param("-6 rule add not fwmark 0xca6c table 51820", id="ipv6-rule"),
    ],
)
async def test_what_may_be_another_network_wakes(laptop: Laptop, command: str) -> None:
    laptop.ip(command)

    assert await laptop.wakeups.next(WITHIN_S) == {Reason.NETWORK}


async def test_while_paused_nothing_wakes_and_then_once(laptop: Laptop) -> None:
    laptop.watch.pause()
    laptop.ip("link set wlan0 up", "addr add 10.10.0.7/16 dev wlan0", "rule add table 51820")
    assert await laptop.wakeups.next(0.05) == frozenset()

    laptop.watch.resume()

    assert laptop.woken == [Reason.NETWORK]


async def test_a_pause_in_which_nothing_happened_wakes_nobody(laptop: Laptop) -> None:
    laptop.watch.pause()
    laptop.watch.pause()

    laptop.watch.resume()
    laptop.watch.resume()

    assert laptop.woken == []
    laptop.ip("link set wlan0 mtu 1400")
    assert await laptop.wakeups.next(WITHIN_S) == {Reason.NETWORK}


@pytest.mark.waits
async def test_a_storm_while_paused_is_one_wake_up(laptop: Laptop, tmp_path: Path) -> None:
    """It does not fit into the socket by far."""
    storm = tmp_path / "storm"
    storm.write_text(
        "".join(f"link add veth{n} type veth peer name vethx{n}\n" for n in range(200))
        + "".join(f"link del veth{n}\n" for n in range(200))
    )
    laptop.watch.pause()
    laptop.batch(storm)

    laptop.watch.resume()

    assert laptop.woken == [Reason.NETWORK]
    await laptop.at_rest()
    laptop.ip("link set wlan0 mtu 1400")
    assert await laptop.wakeups.next(WITHIN_S) == {Reason.NETWORK}


async def test_neighbours_wake_only_on_request(laptop: Laptop) -> None:
    async def wakes(command: str) -> bool:
        """The news of a neighbour are in the socket before `ip` has ended."""
        laptop.watch.pause()
        laptop.ip(command)
        laptop.watch.resume()
        return bool(await laptop.wakeups.next(0.05))

    assert not await wakes("neigh replace 10.10.0.1 lladdr 52:54:00:00:00:01 dev wlan0 nud permanent")
    laptop.watch.follow_neighbours()
    assert await wakes("neigh replace 10.10.0.1 lladdr 52:54:00:00:00:02 dev wlan0 nud permanent")
    laptop.watch.ignore_neighbours()
    assert not await wakes("neigh replace 10.10.0.1 lladdr 52:54:00:00:00:03 dev wlan0 nud permanent")


async def test_after_closing_nothing_wakes(laptop: Laptop) -> None:
    laptop.watch.close()
    laptop.watch.close()

    laptop.ip("link set wlan0 mtu 1400")

    assert await laptop.wakeups.next(0.05) == frozenset()

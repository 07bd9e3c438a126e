"""A look at this very host, and at files below a root."""

from __future__ import annotations

import gc
import socket
import threading
import tracemalloc
from pathlib import Path

import pytest

from agent.see import netlink
from agent.see.netlink_messages import KernelRequest
from agent.see.resolver import Resolver, resolver
from agent.see.see import see
from agent.values.paths import Paths


async def test_this_host(tmp_path: Path) -> None:
    snapshot = await see(Paths(tmp_path), with_macs=False)

    names = [interface.name for interface in snapshot.interfaces]
    assert names == sorted(names)
    assert "lo" not in names
    assert set(names) <= {name for _, name in socket.if_nameindex()}
    assert {way.interface for way in (snapshot.way_ipv4, snapshot.way_ipv6) if way} <= set(names)
    assert (snapshot.dns_servers, snapshot.dns_search) == (("127.0.0.1",), ())  # the root has no resolv.conf


async def test_two_looks_at_a_host_that_stands_still_are_the_same(tmp_path: Path) -> None:
    first = await see(Paths(tmp_path), with_macs=False)

    assert (await see(Paths(tmp_path), with_macs=False)).fingerprint() == first.fingerprint()


def test_loopback_is_a_link_without_neighbours() -> None:
    lo = next(link for link in netlink.links() if link.name == "lo")

    assert (lo.index, lo.has_neighbours) == (1, False)


def test_what_leads_to_this_host_itself() -> None:
    assert all(netlink.leads_here(address) for address in ("127.0.0.1", "127.9.9.9", "::1"))
    assert not netlink.leads_here("198.51.100.9")


def test_what_the_kernel_refuses_says_why() -> None:
    with pytest.raises(netlink.NetlinkFailed, match=r"netlink: the kernel refused: \w+") as failure:
        netlink.ask(KernelRequest(9999, b"\0" * 16))

    assert failure.value.errno


async def test_however_often_it_looks_it_keeps_nothing(tmp_path: Path) -> None:
    async def look(times: int) -> int:
        for _ in range(times):
            await see(Paths(tmp_path), with_macs=False)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await look(20)  # with what is made once
        kept = await look(100) - before
    finally:
        tracemalloc.stop()

    assert kept < 100 * 40  # bytes: less than the shortest string for each look


# The resolver's files.

STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch stub.example\n"
REAL = "nameserver 10.10.0.53\nsearch corp.example\n"


class Root:
    """A root directory with the files of a resolver."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(directory)

    def write(self, path: str, text: str) -> Root:
        file = self.paths.below(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return self

    def link(self, path: str, target: str) -> Root:
        file = self.paths.below(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)
        return self


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_file_of_ones_own(root: Root) -> None:
    root.write("/etc/resolv.conf", REAL).write("/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\n")

    assert resolver(root.paths) == Resolver(("10.10.0.53",), ("corp.example",))


@pytest.mark.parametrize(
    "target",
    ["../run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/stub-resolv.conf"],
    ids=["relative", "absolute"],
)
def test_a_link_to_the_stub_means_what_is_behind_it(root: Root, target: str) -> None:
    root.write("/run/systemd/resolve/stub-resolv.conf", STUB).write("/run/systemd/resolve/resolv.conf", REAL)
    root.link("/etc/resolv.conf", target)

    assert resolver(root.paths) == Resolver(("10.10.0.53",), ("corp.example",))


def test_a_copy_of_the_stub_means_what_is_behind_it(root: Root) -> None:
    root.write("/etc/resolv.conf", STUB).write("/run/systemd/resolve/resolv.conf", "nameserver 10.10.0.53\nsearch .\n")

    assert resolver(root.paths) == Resolver(("10.10.0.53",), ("stub.example",))


def test_a_stub_with_nothing_behind_it_is_all_that_is_known(root: Root) -> None:
    root.write("/etc/resolv.conf", STUB)

    assert resolver(root.paths) == Resolver(("127.0.0.53",), ("stub.example",))


def test_an_absolute_link_stays_below_the_root(root: Root) -> None:
    root.write("/run/NetworkManager/resolv.conf", REAL).link("/etc/resolv.conf", "/run/NetworkManager/resolv.conf")

    assert resolver(root.paths).servers == ("10.10.0.53",)


def test_a_link_to_the_file_of_resolved_itself(root: Root) -> None:
    root.write("/run/systemd/resolve/resolv.conf", REAL).link("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")

    assert resolver(root.paths).servers == ("10.10.0.53",)


@pytest.mark.parametrize("target", ["resolv.conf", "/nowhere"], ids=["to-itself", "dangling"])
def test_a_link_that_leads_nowhere_names_no_servers(root: Root, target: str) -> None:
    root.link("/etc/resolv.conf", target)

    assert resolver(root.paths) == Resolver(("127.0.0.1",))


def test_bytes_that_are_no_text_are_passed_over(root: Root) -> None:
    root.write("/etc/resolv.conf", "")
    root.paths.below("/etc/resolv.conf").write_bytes(b"search caf\xe9.example\nnameserver 10.10.0.53\n")

    assert resolver(root.paths).servers == ("10.10.0.53",)


async def test_the_resolver_is_part_of_the_snapshot(root: Root) -> None:
    root.write("/etc/resolv.conf", REAL)

    snapshot = await see(root.paths, with_macs=False)

    assert (snapshot.dns_servers, snapshot.dns_search) == (("10.10.0.53",), ("corp.example",))


def test_a_resolv_conf_that_is_replaced_just_now_costs_no_look(tmp_path: Path) -> None:
    """A VPN puts a file there, and takes it away: resolved's link comes back."""
    paths, file, has_ended = Paths(tmp_path), tmp_path / "etc/resolv.conf", threading.Event()
    for folder in ("etc", "run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "run/real").write_text("nameserver 10.0.0.1\n")

    def replace() -> None:
        while not has_ended.is_set():
            file.symlink_to("/run/real")
            has_ended.wait(0.0001)
            file.unlink()
            file.write_text("nameserver 10.0.0.2\n")
            has_ended.wait(0.0001)
            file.unlink()

    replacing = threading.Thread(target=replace)
    replacing.start()
    try:
        seen = {resolver(paths).servers for _ in range(3_000)}
    finally:
        has_ended.set()
        replacing.join(30)

    assert seen <= {("10.0.0.1",), ("10.0.0.2",), ("127.0.0.1",)}

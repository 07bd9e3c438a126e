"""The kernel is asked aside, so that it may take its time."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.decide.choose import Choice, Ending
from agent.decide.relay import Chosen, as_upstream
from agent.one_pass.aside import aside
from agent.one_pass.local_clients import seen_from_containers
from agent.one_pass.registries import Registries
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.this_host import ThisHost
from agent.one_pass.world import TheWorld
from agent.probe.without_netlink import refuse_netlink
from agent.see import netlink
from agent.see.netlink import NetlinkFailed
from agent.see.ways import Ways
from agent.values.paths import Paths
from agent.values.policy import ELSEWHERE, Mac, Match, Policy, Relay, Upstream
from agent.values.settings import ProxyUrl, Scheme
from agent.values.vantage import HOST
from agent.values.verdict import Outcome, Verdict
from tests.loopback.servers import closed_port


class Questions:
    """That are sent to the kernel about its network, by the thread that waits. A hook of Python's stays for good."""

    def __init__(self) -> None:
        self.threads: list[int] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.threads is None or event != "socket.sendto":
            return
        if (args[0].family, args[0].proto) == (socket.AF_NETLINK, socket.NETLINK_ROUTE):
            self.threads.append(threading.get_ident())

    async def during(self, asked: Awaitable[object]) -> set[int]:
        """The threads that asked."""
        self.threads = []
        try:
            await asked
            return set(self.threads)
        finally:
            self.threads = None


@pytest.fixture(scope="module")
def questions() -> Questions:
    return Questions()


async def nobody() -> Mapping[str, bool] | None:
    return {}


async def test_a_look_at_the_network_never_waits_in_the_loop(questions: Questions) -> None:
    by_mac = Policy(
        networks=(msgspec.structs.replace(ELSEWHERE, match=Match(gateway_mac=(Mac("52:54:00:00:00:01"),))),)
    )
    host, bridges = ThisHost(Paths(), by_mac, Ways()), Bridges(nobody)

    for asked in (await questions.during(host.see()), await questions.during(bridges.look())):
        assert asked
        assert threading.get_ident() not in asked


async def test_nor_does_it_wait_for_where_the_relay_listens(questions: Questions, tmp_path: Path) -> None:
    world = TheWorld(Paths(tmp_path), Policy(relay=Relay(enable=True, port=closed_port())))
    ok = Verdict(Outcome.OK)
    chosen = Chosen(ELSEWHERE, {"direct": ok}, Choice(Ending.CHOSEN, "first that works", "direct"))

    async def works(_: str) -> Verdict:
        return ok

    world.relay.seen(())
    asked = await questions.during(world.relay.serve(chosen, works, may_start=True))

    assert asked
    assert threading.get_ident() not in asked


async def test_nor_for_what_containers_find_here(questions: Questions, tmp_path: Path) -> None:
    containers = seen_from_containers(Paths(tmp_path), Policy(), HOST)
    upstreams = as_upstream(3130), Upstream("own", http=ProxyUrl(Scheme.HTTP, "127.0.0.1", 3128))

    for upstream in upstreams:
        asked = await questions.during(containers.bridge(upstream))
        assert asked
        assert threading.get_ident() not in asked


async def test_nor_for_why_a_proxy_is_not_reached(questions: Questions, tmp_path: Path) -> None:
    url = ProxyUrl(Scheme.HTTP, "127.0.0.1", closed_port())
    proxy = Upstream("office", http=url, https=url)
    registries, found = Registries(Paths(tmp_path), Policy()), list[Verdict]()

    async def probed() -> None:
        found.append((await registries.verdicts([proxy], lambda _: False))["office"])

    asked = await questions.during(probed())

    assert [one.outcome for one in found] == [Outcome.REFUSED]
    assert asked
    assert threading.get_ident() not in asked


def test_who_may_listen_at_any_interface_is_known_without_asking_what_they_are() -> None:
    """By any thread: if_nameindex(3) would hold up all of Python."""
    found: list[list[int]] = []

    def without_netlink() -> None:
        refuse_netlink()
        found.append(netlink.indexes())

    thread = threading.Thread(target=without_netlink)
    thread.start()
    thread.join(20)

    assert [sorted(one) for one in found] == [sorted(link.index for link in netlink.links())]


async def test_a_kernel_that_does_not_answer_is_an_error_and_later_it_is_asked_again() -> None:
    goes_on = threading.Event()
    with pytest.raises(NetlinkFailed, match="did not answer within"):
        await aside(lambda: goes_on.wait(20), within_s=0.05)
    goes_on.set()
    assert await aside(lambda: "an answer") == "an answer"

"""The kernel is asked aside, so that it may take its time."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from agent.one_pass.aside import aside
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.this_host import ThisHost
from agent.see.netlink import NetlinkFailed
from agent.see.ways import Ways
from agent.values.paths import Paths
from agent.values.policy import Policy


class Questions:
    """That are sent to the kernel, by the thread that waits for it. A hook of Python's stays for good."""

    def __init__(self) -> None:
        self.threads: list[int] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.threads is not None and event == "socket.sendto" and args[0].family == socket.AF_NETLINK:
            self.threads.append(threading.get_ident())


@pytest.fixture(scope="module")
def questions() -> Questions:
    return Questions()


async def nobody() -> Mapping[str, bool] | None:
    return {}


async def test_a_look_at_the_network_never_waits_in_the_loop(questions: Questions) -> None:
    host, bridges = ThisHost(Paths(), Policy(), Ways()), Bridges(nobody)

    questions.threads = []
    await host.see()
    of_the_look = len(questions.threads)
    await bridges.look()
    asked, questions.threads = questions.threads, None

    assert len(asked) > of_the_look > 0
    assert threading.get_ident() not in asked


async def test_a_kernel_that_does_not_answer_is_an_error_and_later_it_is_asked_again() -> None:
    goes_on = threading.Event()
    with pytest.raises(NetlinkFailed, match="did not answer within"):
        await aside(lambda: goes_on.wait(20), within_s=0.05)
    goes_on.set()
    assert await aside(lambda: "an answer") == "an answer"

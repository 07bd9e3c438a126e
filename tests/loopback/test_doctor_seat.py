"""A container's place, on a real kernel: what it finds of a listener on the bridge, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from typing import Final

import pytest

from agent.cli.doctor.firewall import Answer

from .test_see_namespaces import Namespace

pytestmark = pytest.mark.needs_root

TRY: Final = """
import asyncio, json, os, socket, sys
from agent.cli.doctor.firewall import Answer, Seat
from agent.cli.doctor.seat import tried
seat = Seat(upstream="x", bridge="docker0", address="172.17.0.1", port=7890, answer=Answer.UNKNOWN)
with socket.socket() as listening:
    if sys.argv[1] == "listens":
        listening.bind(("0.0.0.0", 7890))
        listening.listen()
    found = asyncio.run(tried(seat, sys.argv[2]))
links = sorted(name for _, name in socket.if_nameindex())
print(json.dumps([found.answer.value, found.why_not, links]))
"""
OWN: Final = "172.17.255.254/16"
IPTABLES: Final = shutil.which("iptables", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@pytest.fixture
def host() -> Iterator[Namespace]:
    namespace = Namespace("seat")
    try:
        namespace.ip(
            "link set lo up",
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        )
        yield namespace
    finally:
        namespace.remove()


@pytest.mark.parametrize(
    ("does", "answer"),
    [pytest.param("listens", Answer.OPEN, id="somebody-listens"), pytest.param("not", Answer.REFUSED, id="nobody")],
)
def test_what_a_container_finds_and_that_nothing_stays(host: Namespace, does: str, answer: Answer) -> None:
    found, why_not, links = json.loads(host.python(TRY, does, OWN))

    assert (found, why_not) == (answer.value, "")
    assert [name for name in links if name.startswith(("dpa", "eth"))] == []


DROPS: Final = ("INPUT", "-i", "docker0", "-p", "tcp", "-j", "DROP")


@pytest.mark.skipif(IPTABLES is None, reason="there is no iptables")
def test_a_firewall_that_drops_is_silence(host: Namespace) -> None:
    host.python(
        "import subprocess, sys; subprocess.run(sys.argv[1:], check=True, timeout=60)", str(IPTABLES), "-A", *DROPS
    )

    found, _, _ = json.loads(host.python(TRY, "listens", OWN))

    assert found == Answer.SILENT.value


KILLED: Final = """
import asyncio, socket, time
from agent.cli.doctor.firewall import Answer, Seat
from agent.cli.doctor.seat import tried
seat = Seat(upstream="x", bridge="docker0", address="172.17.0.1", port=7890, answer=Answer.UNKNOWN)
ends = lambda: [name for _, name in socket.if_nameindex() if name.startswith("dpa")]
async def main():
    trying = asyncio.create_task(tried(seat, "172.17.255.254/16"))
    until = time.monotonic() + 30
    while not ends() and not trying.done() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    was_there = bool(ends())
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    return was_there
was_there, until = asyncio.run(main()), time.monotonic() + 60
while ends() and time.monotonic() < until:
    time.sleep(0.05)
print(was_there, ends())
"""


@pytest.mark.skipif(IPTABLES is None, reason="there is no iptables")
def test_one_that_is_killed_leaves_nothing_either(host: Namespace) -> None:
    host.python(
        "import subprocess, sys; subprocess.run(sys.argv[1:], check=True, timeout=60)", str(IPTABLES), "-A", *DROPS
    )

    assert host.python(KILLED) == "True []\n"


def test_what_cannot_be_tried_says_why(host: Namespace) -> None:
    found, why_not, _ = json.loads(host.python(TRY, "listens", "no address"))

    assert found == Answer.UNKNOWN.value
    assert why_not.startswith("ip: ")

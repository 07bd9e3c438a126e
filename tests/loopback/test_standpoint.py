"""Probes of a dockerd that stands in a network of its own: what it reaches decides, not what this host reaches.

The other network is real; a proxy at its gateway stands in for this host's loopback as slirp4netns leads to it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.one_pass.registries import Registries
from agent.one_pass.standpoint import Stand, Standpoint
from agent.one_pass.vantage_file import VantageFile
from agent.probe.side_by_side import everything
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import DeadEnd, Outcome, Verdict
from tests.policies import policy_of

HERE: Final = "127.0.0.1"
SLIRP: Final = Vantage(is_host=False, gateway="10.0.2.2", has_ipv6=False)
NAMESPACES: Final = ("unshare", "--user", "--map-root-user", "--net", "--mount")
WORLD: Final = """
set -e
ip link set lo up
ip address add 10.0.2.2/32 dev lo
exec "$1" -c "$2" "$3"
"""
PROXY: Final = """
import socket, sys
listener = socket.create_server(("10.0.2.2", int(sys.argv[1])))
print(flush=True)
while True:
    peer, address = listener.accept()
    asked = peer.recv(4096)
    api = b"Docker-Distribution-Api-Version: registry/2.0\\r\\n"
    peer.sendall(b"HTTP/1.1 401 Unauthorized\\r\\n" + api + b"Content-Length: 0\\r\\n\\r\\n")
    peer.close()
"""


class Dockerd(msgspec.Struct, frozen=True):
    pid: int
    port: int  # of the proxy at its gateway; on this host nobody listens there


@pytest.fixture
def dockerd() -> Iterator[Dockerd]:
    """A process in a network of its own."""
    if subprocess.run((*NAMESPACES, "true"), check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("no user namespaces here")
    with socket.socket() as nobody:
        nobody.bind((HERE, 0))
        port = nobody.getsockname()[1]
        argv = (*NAMESPACES, "sh", "-c", WORLD, "sh", sys.executable, PROXY, str(port))
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            running.stdout.readline()
            yield Dockerd(running.pid, port)
            running.kill()


@contextlib.contextmanager
def in_another_network() -> Iterator[int]:
    argv = (*NAMESPACES, "sh", "-c", "ip link set lo up; echo; read _")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid


def policy(port: int) -> Policy:
    text = f"""
[probe]
registry = ["http://registry.test"]
timeout = "5s"
[upstream.local]
url = "http://127.0.0.1:{port}"
[[network]]
use = ["local", "direct"]
"""
    return policy_of(text)


def looked_at(pid: int) -> Reality:
    return Reality(UnitState(Phase.RUNNING if pid else Phase.STOPPED, pid), dockerd=pid, vantage=SLIRP if pid else HOST)


async def verdict(standpoint: Standpoint, tmp_path: Path, port: int) -> Verdict:
    asked = policy(port)
    registries = Registries(Paths(tmp_path), asked, standpoint.resolve, standpoint=standpoint)
    return (await registries.verdicts([asked.upstreams["local"]], everything))["local"]


async def test_a_proxy_on_loopback_is_asked_where_dockerd_finds_it(dockerd: Dockerd, tmp_path: Path) -> None:
    port, standpoint = dockerd.port, Standpoint()
    assert (await verdict(standpoint, tmp_path, port)).outcome is Outcome.REFUSED  # on this host

    standpoint.note(looked_at(dockerd.pid))

    found = await verdict(standpoint, tmp_path, port)
    standpoint.leave()
    assert (found.outcome, found.dead_end) == (Outcome.OK, None)


async def test_one_that_only_this_host_reaches_is_a_dead_end(dockerd: Dockerd, tmp_path: Path) -> None:
    standpoint = Standpoint()
    standpoint.note(looked_at(dockerd.pid))

    with socket.create_server((HERE, 0)) as here:
        port = here.getsockname()[1]
        found = await verdict(standpoint, tmp_path, port)
    with socket.socket() as nobody:
        nobody.bind((HERE, 0))
        gone = await verdict(standpoint, tmp_path, nobody.getsockname()[1])
    standpoint.leave()

    assert (found.outcome, found.dead_end) == (Outcome.NO_ROUTE, DeadEnd.LOOPBACK)
    assert not found.is_soft  # no patience brings it
    assert found.evidence == (
        f"connecting to 10.0.2.2:{port}: nothing listens there;"
        " Docker's own network cannot reach this host's loopback, where it listens"
    )
    assert (gone.outcome, gone.evidence, gone.dead_end) == (Outcome.REFUSED, "nothing listens there yet", None)


async def test_one_that_does_not_run_keeps_its_vantage_and_is_asked_for_from_here(
    dockerd: Dockerd, tmp_path: Path
) -> None:
    port, standpoint = dockerd.port, Standpoint()
    standpoint.note(looked_at(dockerd.pid))

    standpoint.note(looked_at(0))

    assert standpoint.vantage == SLIRP  # what it is given does not change with that
    found = await verdict(standpoint, tmp_path, port)
    # At the policy's own address: on this host the gateway's is another machine's.
    assert found.evidence == f"connecting to {HERE}:{port}: nothing listens there"


async def test_another_start_is_another_place_to_stand(dockerd: Dockerd, tmp_path: Path) -> None:
    port, standpoint = dockerd.port, Standpoint()
    standpoint.note(looked_at(dockerd.pid))
    assert (await verdict(standpoint, tmp_path, port)).is_ok

    with in_another_network() as other:
        standpoint.note(looked_at(other))

        assert not (await verdict(standpoint, tmp_path, port)).is_ok
        standpoint.leave()


async def test_one_that_does_not_show_where_it_stands_keeps_its_vantage_until_it_does(
    dockerd: Dockerd, tmp_path: Path
) -> None:
    port, standpoint = dockerd.port, Standpoint()
    standpoint.note(looked_at(dockerd.pid))

    standpoint.note(msgspec.structs.replace(looked_at(dockerd.pid), vantage=None))

    assert standpoint.vantage == SLIRP
    assert (await verdict(standpoint, tmp_path, port)).is_ok
    with in_another_network() as other:
        standpoint.note(msgspec.structs.replace(looked_at(other), vantage=None))
        assert standpoint.vantage == SLIRP
        assert standpoint.now == Stand()  # nobody stands where the last one stood
        standpoint.note(looked_at(other))
        assert standpoint.now.vantage == SLIRP
    standpoint.leave()


def test_the_next_boot_knows_where_it_stood_before_docker_is_up(dockerd: Dockerd, tmp_path: Path) -> None:
    before, after = Standpoint(), Standpoint()
    before.serve(tmp_path, "docker.service")
    before.note(looked_at(dockerd.pid))
    assert not list(tmp_path.iterdir())  # a look writes nothing
    before.keep()
    before.leave()

    after.serve(tmp_path, "docker.service")
    after.note(looked_at(0))

    assert after.vantage == SLIRP
    after.serve(tmp_path, "another.service")  # of another Docker nothing is known
    assert after.vantage == HOST


def test_one_that_stands_on_this_host_leaves_nothing_to_keep(tmp_path: Path) -> None:
    standpoint = Standpoint()
    standpoint.serve(tmp_path, "docker.service")
    standpoint.note(msgspec.structs.replace(looked_at(os.getpid()), vantage=HOST))

    standpoint.keep()

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "state": {}}', '{"format": 1, "state": {"unit": 1}}'])
def test_what_was_kept_and_cannot_be_read_is_this_host(tmp_path: Path, text: str) -> None:
    VantageFile(tmp_path, "docker.service").save(SLIRP)
    assert VantageFile(tmp_path, "docker.service").load() == SLIRP
    (file,) = tmp_path.iterdir()
    file.write_text(text)

    assert VantageFile(tmp_path, "docker.service").load() == HOST

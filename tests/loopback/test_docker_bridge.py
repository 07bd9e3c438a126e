"""A proxy whose network Docker took for its own, in a real namespace: the verdict says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.see.docker_bridge import docker_bridge, is_dockers

from .test_see_namespaces import Namespace

PROBED = """
import asyncio, json, pathlib, sys
from agent.paths import Paths
from agent.policy_text import parse
from agent.world import Registries

async def at(name, port):
    return [(2, ("172.17.9.9", port))]

policy = parse(sys.argv[1])
registries = Registries(Paths(pathlib.Path(sys.argv[2])), policy, at)
verdicts = asyncio.run(registries.verdicts(list(policy.upstreams.values()), lambda _: False))
print(json.dumps({name: [verdict.outcome.value, verdict.evidence] for name, verdict in verdicts.items()}))
"""
POLICY = """
[probe]
timeout = "500ms"
registry = ["http://10.9.9.9/"]
[upstream.address]
url = "http://172.17.9.9:3128"
[upstream.name]
url = "http://proxy.corp.example:3128"
[upstream.beside]
url = "http://10.9.9.8:3128"
[[network]]
use = ["address", "name", "beside"]
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace("bridge")
    yield made
    made.remove()


@pytest.mark.needs_root
def test_a_verdict_says_that_the_proxys_network_is_one_of_dockers(namespace: Namespace, tmp_path: Path) -> None:
    namespace.ip(
        "link set lo up",
        "link add docker0 type bridge", "address add 172.17.0.1/16 dev docker0", "link set docker0 up",
        "link add br-lan type bridge", "address add 10.9.9.7/24 dev br-lan", "link set br-lan up",
    )  # fmt: skip

    verdicts = json.loads(namespace.python(PROBED, POLICY, str(tmp_path)))

    said = "the way to 172.17.9.9 ends on docker0, a bridge of Docker's own; daemon.json: default-address-pools"
    assert {name: evidence.endswith(said) for name, (_, evidence) in verdicts.items() if name != "direct"} == {
        "address": True, "name": True, "beside": False,
    }  # fmt: skip
    assert verdicts["address"][0] in ("timeout", "no-route")


@pytest.mark.parametrize(
    ("interface", "is_its"),
    [
        ("docker0", True),
        ("br-0123456789ab", True),
        ("docker_gwbridge", True),
        ("br-lan", False),
        ("br0", False),
        ("wlan0", False),
    ],
)
def test_which_bridges_are_dockers(interface: str, is_its: bool) -> None:
    assert is_dockers(interface) is is_its


@pytest.mark.parametrize("host", ["proxy.corp.example", "127.0.0.1", "fe80::1%eth0", ""])
def test_what_is_no_address_or_on_this_host_lies_on_no_bridge(host: str) -> None:
    assert docker_bridge(host) == ""

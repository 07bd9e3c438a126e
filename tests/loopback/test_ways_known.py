"""What a probe looks up makes the way there known, for the hosts of the policy."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from agent.one_pass.this_host import hosts_connected_to, noting
from agent.probe.dial import Address, threaded
from agent.see.ways import Ways
from agent.values.policy import Policy
from agent.values.snapshot import Interface, OtherWay, Snapshot, Way
from tests.policies import policy_of

HOME = Snapshot((Interface("wlan0", ipv4=("10.20.0.7/16",)),))
POLICY = """
[probe]
registry = ["https://registry.corp.example"]
[upstream.office]
url = "http://proxy.corp.example:3128"
[upstream.local]
url = "http://127.0.0.1:7890"
[[network]]
use = ["office", "local", "direct"]
"""


def policy(text: str) -> Policy:
    return policy_of(text)


def look_up(_host: str, port: int) -> Sequence[Address]:
    return [(socket.AF_INET, ("10.10.0.2", port))]


def test_proxies_elsewhere_and_the_registries_of_the_policy_are_connected_to() -> None:
    assert hosts_connected_to(policy(POLICY)) == {"proxy.corp.example", "registry.corp.example"}


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        pytest.param("proxy.corp.example", True, id="a-proxy"),
        pytest.param("registry.corp.example", True, id="a-registry-of-the-policy"),
        pytest.param("registry-1.docker.io", False, id="docker-hub"),  # it has hundreds of addresses
    ],
)
async def test_what_is_looked_up_for_the_policy_makes_its_way_known(host: str, is_known: bool) -> None:
    kernel: dict[str, Way] = {"10.10.0.2": Way("wlan0")}
    ways = Ways(kernel.get)
    ways.seen(HOME, [])

    await noting(threaded(look_up), ways, hosts_connected_to(policy(POLICY)))(host, 443)
    kernel["10.10.0.2"] = Way("tun0")

    assert ways.seen(HOME, []).ways == ((OtherWay("10.10.0.2", Way("tun0")),) if is_known else ())

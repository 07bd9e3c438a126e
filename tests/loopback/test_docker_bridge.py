"""A proxy whose network Docker took for its own, in a real namespace: the verdict says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.decide.bridge import Bridge
from agent.docker.config_file import ConfigFile
from agent.one_pass.docker_defaults import way_to_host
from agent.see.docker_bridge import described, docker_bridge
from agent.values.paths import Layout, Paths, layout_of_user
from agent.values.vantage import HOST, Vantage

from .test_see_namespaces import Namespace

PROBED = """
import asyncio, json, pathlib, sys
from agent.values.paths import Paths
from agent.values.policy_text import parse
from agent.one_pass.registries import Registries

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
[upstream.renamed]
url = "http://172.18.9.9:3128"
[[network]]
use = ["address", "name", "beside", "renamed"]
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
        "link add wire type ifb", "link set wire master br-lan", "link set wire up",
        "link add backend type bridge", "address add 172.18.0.1/16 dev backend", "link set backend up",
    )  # fmt: skip

    verdicts = json.loads(namespace.python(PROBED, POLICY, str(tmp_path)))

    said = "the route to 172.17.9.9 ends at docker0, a bridge of Docker's own; daemon.json: default-address-pools"
    assert {name: evidence.endswith(said) for name, (_, evidence) in verdicts.items() if name != "direct"} == {
        "address": True, "name": True, "beside": False, "renamed": False,
    }  # fmt: skip
    assert "the way to" not in verdicts["beside"][1]
    assert verdicts["renamed"][1].endswith(
        "the route to 172.18.9.9 ends at backend, a bridge that only containers or virtual machines of this host are on"
    )
    assert verdicts["address"][0] in ("timeout", "no-route")


DOCKERS, SOMEBODYS = "a bridge of Docker's own", "a bridge that only containers or virtual machines of this host are on"


@pytest.mark.parametrize(
    ("interface", "is_guests", "default", "what"),
    [
        pytest.param("docker0", True, None, DOCKERS, id="the-default-one"),
        pytest.param("br-0123456789ab", True, "docker0", DOCKERS, id="of-a-network"),
        pytest.param("docker_gwbridge", True, "docker0", DOCKERS, id="of-swarm"),
        pytest.param("lan0", True, "lan0", DOCKERS, id="named-in-daemon-json"),
        pytest.param("backend", True, "docker0", SOMEBODYS, id="named-by-a-network"),
        pytest.param("virbr0", True, "docker0", SOMEBODYS, id="of-virtual-machines"),
        pytest.param("br-lan", False, "docker0", "", id="with-an-uplink"),
        pytest.param("br0", False, "br0", "", id="the-companys-network-that-containers-are-on"),
        pytest.param("wlan0", False, "docker0", "", id="no-bridge"),
    ],
)
def test_whose_a_bridge_is(interface: str, is_guests: bool, default: str | None, what: str) -> None:
    found = described(interface, default, is_guests=is_guests)

    assert found.startswith(f"{interface}, {what}") if what else not found


@pytest.mark.parametrize("host", ["proxy.corp.example", "127.0.0.1", "fe80::1%eth0", ""])
def test_what_is_no_address_or_on_this_host_lies_on_no_bridge(host: str) -> None:
    assert docker_bridge(host) == ""


ADDRESS = """
import pathlib, sys
from agent.values.paths import Paths
from agent.docker.config_file import ConfigFile
from agent.one_pass.docker_defaults import bridge_for_relay, way_to_host, way_to_relay
from agent.values.vantage import HOST

paths = Paths(pathlib.Path(sys.argv[1]))
print(way_to_host(paths, ConfigFile(paths), HOST).address, bridge_for_relay(paths, ConfigFile(paths), HOST))
of_relay = way_to_relay(paths, ConfigFile(paths), HOST)
assert of_relay.is_left is (bridge_for_relay(paths, ConfigFile(paths), HOST) == "")  # clients are told the same
assert of_relay.address == way_to_host(paths, ConfigFile(paths), HOST).address
"""


@pytest.mark.needs_root
def test_the_bridge_that_daemon_json_names_has_the_address_for_containers(namespace: Namespace, tmp_path: Path) -> None:
    namespace.ip(
        "link add docker0 type bridge", "address add 172.17.0.1/16 dev docker0",
        "link add lan0 type bridge", "address add 172.30.0.1/16 dev lan0",
    )  # fmt: skip
    file = Paths(tmp_path).daemon_json
    file.parent.mkdir(parents=True)
    found = {}

    for name in ("", "lan0", "none", "gone0"):
        file.write_text(json.dumps({"bridge": name}))
        found[name] = namespace.python(ADDRESS, str(tmp_path)).split()
    file.write_text('{"bridge": "lan0",')  # in the middle of an edit
    half, of_relay = namespace.python(ADDRESS, str(tmp_path)).split()

    addresses = {"": "172.17.0.1", "lan0": "172.30.0.1", "none": "None", "gone0": "None"}
    assert found == {name: [address, address] for name, address in addresses.items()}
    assert (half, of_relay) == ("172.17.0.1", "None")  # a relay that listens at lan0 stays there


@pytest.mark.needs_root
def test_the_relay_listens_at_no_bridge_that_this_hosts_network_is_on_too(namespace: Namespace, tmp_path: Path) -> None:
    """It would let nobody in there; so clients are given something else, and are told."""
    namespace.ip(
        "link add br0 type bridge", "address add 172.30.0.1/16 dev br0",
        "link add veth0 type veth peer name veth1", "link set veth0 master br0",
        "link add card0 type vxlan id 5 dstport 4789",  # as good as any
    )  # fmt: skip
    file = Paths(tmp_path).daemon_json
    file.parent.mkdir(parents=True)
    file.write_text('{"bridge": "br0"}')
    assert namespace.python(ADDRESS, str(tmp_path)).split() == ["172.30.0.1", "172.30.0.1"]

    namespace.ip("link set card0 master br0")

    # Not as where it is not known: a relay that listens there must not stay there.
    assert namespace.python(ADDRESS, str(tmp_path)).rstrip("\n") == "172.30.0.1 "

    # As in an LXC guest, whose uplink looks like a container's.
    namespace.ip("link set card0 nomaster", "link set br0 up")
    assert namespace.python(ADDRESS, str(tmp_path)).split() == ["172.30.0.1", "172.30.0.1"]
    namespace.ip("route add default via 172.30.0.9")
    assert namespace.python(ADDRESS, str(tmp_path)).rstrip("\n") == "172.30.0.1 "


OWN = layout_of_user(1000, "/home/alice", {})
INSIDE = Vantage(is_host=False, gateway="10.0.2.2")
SHUT = Vantage(is_host=False, gateway="10.0.2.2", is_closed=True)


@pytest.mark.parametrize(
    ("vantage", "layout", "way"),
    [
        pytest.param(INSIDE, OWN, Bridge("10.0.2.2", heard_at="127.0.0.1"), id="own"),
        pytest.param(Vantage(is_host=False), OWN, Bridge(is_closed=True), id="own-without-a-gateway"),
        pytest.param(SHUT, OWN, Bridge(is_closed=True), id="own-closed"),
        pytest.param(HOST, OWN, Bridge(is_closed=True), id="only-its-bridge-is-elsewhere"),
        pytest.param(HOST, Layout(), Bridge(is_none=True), id="the-systems-without-a-bridge"),
    ],
)  # fmt: skip
def test_the_way_of_containers_to_this_host(tmp_path: Path, vantage: Vantage, layout: Layout, way: Bridge) -> None:
    paths = Paths(tmp_path, layout)
    paths.daemon_json.parent.mkdir(parents=True)
    paths.daemon_json.write_text('{"bridge": "none"}')

    assert way_to_host(paths, ConfigFile(paths), vantage) == way

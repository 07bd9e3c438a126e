"""Who may use the relay: the kernel's way back to the peer decides, and nothing that the peer says."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from agent.relay.who import KEPT_S, NO_KEPT_S, WHOSE_KEPT_S, End, Untold, Who
from agent.see.netlink import NetlinkFailed, Reached
from agent.see.netlink_messages import Hop, Link, Route
from agent.values.relay import Source, bridge_of

WLAN, BRIDGE, LAN_BRIDGE, EMPTY, UPLINK, MACHINES, OWN_VETH, LXC, PAIR = 2, 3, 4, 5, 6, 7, 8, 9, 18
LXC_BRIDGE, DOCKERS, TUNNELLING = 19, 21, 23
BRIDGES = "172.17.0.1"  # what is listened at


def _link(index: int, kind: str = "", master: int = 0) -> Link:
    is_a_containers = kind == "veth" and master != 0
    return Link(
        index,
        f"if{index}",
        has_carrier=True,
        has_neighbours=True,
        kind=kind,
        master=master,
        ends_elsewhere=is_a_containers,
    )


LINKS: Final = (
    _link(WLAN),
    _link(BRIDGE, "bridge"), _link(10, "veth", BRIDGE), _link(11, "veth", BRIDGE),
    _link(LAN_BRIDGE, "bridge"), _link(12, "veth", LAN_BRIDGE), _link(13, "", LAN_BRIDGE),
    _link(EMPTY, "bridge"),
    _link(UPLINK, "bridge"), _link(14, "veth", UPLINK),
    _link(MACHINES, "bridge"), _link(15, "tun", MACHINES), _link(16, "veth", MACHINES),
    msgspec.structs.replace(_link(OWN_VETH, "veth"), ends_elsewhere=True),
    msgspec.structs.replace(_link(LXC, "veth"), ends_elsewhere=True),
    _link(PAIR, "veth"),
    _link(LXC_BRIDGE, "bridge"), _link(20, "veth", LXC_BRIDGE),
    msgspec.structs.replace(_link(DOCKERS, "bridge"), name="br-0123456789ab"), _link(22, "veth", DOCKERS),
    msgspec.structs.replace(_link(TUNNELLING, "bridge"), name="br-00112233aabb"), _link(24, "veth", TUNNELLING),
)  # fmt: skip


class Host:
    """A kernel with these routes."""

    def __init__(self) -> None:
        self.ways = {
            "172.17.0.2": Route((Hop(BRIDGE),), 254),
            "10.0.0.9": Route((Hop(WLAN),), 254),
            "172.17.99.9": Route((Hop(BRIDGE, "172.17.0.2"),), 254),
            "10.9.0.2": Route((Hop(LAN_BRIDGE),), 254),
            "10.8.0.2": Route((Hop(EMPTY),), 254),
            "10.7.0.2": Route((Hop(UPLINK),), 254),
            "10.5.0.2": Route((Hop(MACHINES),), 254),
            "10.6.0.2": Route((Hop(BRIDGE), Hop(WLAN)), 254),
            "10.4.0.2": Route((Hop(OWN_VETH),), 254),
            "10.3.0.2": Route((Hop(LXC),), 254),
            "10.2.0.2": Route((Hop(PAIR),), 254),
            "10.1.0.2": Route((Hop(LXC_BRIDGE),), 254),
            "172.18.0.2": Route((Hop(DOCKERS),), 254),
            "172.19.0.2": Route((Hop(TUNNELLING),), 254),
            "198.51.100.7": Route((Hop(TUNNELLING, "172.19.0.5"),), 254),
            "fe80::1%3": Route((Hop(BRIDGE),), 254),
            "169.254.7.7": Route((Hop(BRIDGE),), 254),
        }
        self.links_now: Sequence[Link] = LINKS
        self.is_silent = False
        self.defaults = [Route((Hop(WLAN, "10.0.0.1"),), 254), Route((Hop(UPLINK, "10.7.0.1"),), 254)]
        self.with_routers = {WLAN, LXC, LXC_BRIDGE, DOCKERS}
        self.owner: int | None = None
        self.asked: list[int] = []
        self.asked_for_ports: list[int] = []
        self.ports = {"172.17.0.2": 10, "172.17.7.7": 10, "172.17.0.3": 11}
        self.asked_whose: list[str] = []

    def leads_here(self, address: str, /) -> bool:
        return address == "172.17.0.1"

    def way_to(self, address: str, /) -> Route | None:
        if self.is_silent:
            raise NetlinkFailed("silent", errno.ENOBUFS)
        return self.ways.get(address)

    def link_at(self, index: int, /) -> Link | None:
        self.asked.append(index)
        return next((link for link in self.links_now if link.index == index), None)

    def ports_of(self, bridge: int, /) -> Sequence[Link]:
        self.asked_for_ports.append(bridge)
        return [link for link in self.links_now if link.master == bridge]

    def owner_of(self, _near: End, _far: End, /) -> int | None:
        if self.is_silent:
            raise NetlinkFailed("silent", errno.ENOBUFS)
        return self.owner

    def owners_of(self, connections: Sequence[tuple[End, End]], /) -> Sequence[int | None]:
        return [self.owner_of(*ends) for ends in connections]

    def ports_to(self, addresses: Sequence[str], /) -> Sequence[Reached]:
        if self.is_silent:
            raise NetlinkFailed("silent", errno.ENOBUFS)
        self.asked_whose += addresses
        return [
            Reached(0) if self.leads_here(address) else Reached(BRIDGE, self.ports.get(address, 0))
            for address in addresses
        ]

    def routers_are_behind(self, interface: int, /) -> bool:
        return interface in self.with_routers

    def default_routes(self) -> Sequence[Route]:
        return self.defaults


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        # Whatever makes the connections of a rootless container, or of a virtual machine, makes them so.
        pytest.param("127.0.0.1", Source.CONTAINERS, id="loopback"),
        pytest.param("172.17.0.1", Source.CONTAINERS, id="this-host-by-the-bridge's-address"),
        pytest.param("172.17.0.2", Source.CONTAINERS, id="container"),
        pytest.param("::ffff:172.17.0.2", Source.CONTAINERS, id="container-mapped"),
        pytest.param("10.0.0.9", None, id="guest-of-the-café"),
        pytest.param("172.17.99.9", None, id="behind-a-container"),
        pytest.param("10.9.0.2", None, id="bridge-with-an-uplink"),
        pytest.param("10.8.0.2", None, id="bridge-without-ports"),
        pytest.param("10.7.0.2", None, id="bridge-that-is-the-way-out"),
        pytest.param("10.6.0.2", None, id="two-ways"),
        pytest.param("10.5.0.2", None, id="virtual-machine-beside-containers"),
        pytest.param("10.4.0.2", None, id="guest-with-a-route-of-its-own"),
        pytest.param("10.3.0.2", None, id="neighbour-of-an-lxc-guest"),
        pytest.param("10.1.0.2", None, id="neighbour-of-one-with-a-bridge-and-no-default-route"),
        pytest.param("172.18.0.2", Source.CONTAINERS, id="container-beside-one-that-is-a-router"),
        pytest.param("203.0.113.9", None, id="no-way"),
        pytest.param("fe80::1%3", None, id="link-local"),
        pytest.param("169.254.7.7", None, id="link-local-4"),
    ],
)
def test_who_may(peer: str, source: Source | None) -> None:
    assert Who(Host()).source(peer, BRIDGES) is source


@pytest.mark.parametrize(
    ("peer", "listener"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::ffff:127.0.0.1", "::ffff:127.0.0.1"), ("172.17.0.1", "127.0.0.1")],
)
def test_this_host_is_whoever_comes_from_it_to_loopback(peer: str, listener: str) -> None:
    assert Who(Host()).source(peer, listener) is Source.LOOPBACK


@pytest.mark.parametrize(
    ("address", "is_guest"),
    [
        pytest.param("172.17.0.2", True, id="container"),
        pytest.param("172.17.99.9", True, id="behind-a-container"),
        pytest.param("10.6.0.2", True, id="one-way-of-two"),
        pytest.param("10.8.0.2", True, id="bridge-without-ports"),
        pytest.param("10.5.0.2", True, id="virtual-machine"),
        pytest.param("10.9.0.2", False, id="bridge-with-an-uplink"),
        pytest.param("10.7.0.2", False, id="bridge-that-is-the-way-out"),
        pytest.param("10.4.0.2", True, id="guest-with-a-route-of-its-own"),
        pytest.param("10.3.0.2", False, id="neighbour-of-an-lxc-guest"),
        pytest.param("10.1.0.2", False, id="neighbour-of-one-with-a-bridge-and-no-default-route"),
        pytest.param("10.2.0.2", False, id="veth-that-ends-here"),
        pytest.param("10.0.0.9", False, id="neighbour-in-the-café"),
        pytest.param("203.0.113.9", False, id="no-way"),
    ],
)
def test_who_is_a_guest_of_this_host(address: str, is_guest: bool) -> None:
    assert Who(Host()).is_guest(address) is is_guest


def test_a_bridge_that_a_veth_pair_joins_to_another_one_of_this_host_may_be_the_lans() -> None:
    host = Host()
    host.links_now = (*LINKS, msgspec.structs.replace(_link(25, "veth", BRIDGE), ends_elsewhere=False))
    who = Who(host)

    assert who.source("172.17.0.2", BRIDGES) is None
    assert who.is_guest("172.17.0.2")


@pytest.mark.parametrize(
    ("table", "source"),
    [pytest.param(200, Source.CONTAINERS, id="of-some"), pytest.param(254, None, id="of-all")],
)
def test_a_container_that_is_a_way_out_opens_its_network_to_nobody(table: int, source: Source | None) -> None:
    """A VPN in a container, by which the traffic of this host goes. Its network may be an uplink, or not."""
    host = Host()
    host.defaults.append(Route((Hop(TUNNELLING, "172.19.0.5"),), table))
    who = Who(host)

    assert who.source("172.19.0.2", BRIDGES) is source
    assert who.is_guest("172.19.0.2")
    assert who.is_guest("198.51.100.7") is (source is not None)  # if the world is there, it is no guest


def test_nor_one_behind_which_a_router_is_in_a_network_of_dockers_whatever_its_bridge_is_called() -> None:
    """As with `com.docker.network.bridge.name`: the agent says which these are."""
    host = Host()
    who = Who(host, lambda: 0.0)
    assert not who.is_guest("10.1.0.2")

    who.keep_out([], told=[bridge_of(LXC_BRIDGE, f"if{LXC_BRIDGE}")])

    assert who.is_guest("10.1.0.2")
    assert who.source("10.1.0.2", BRIDGES) is None


def test_who_is_kept_from_the_world_is_not_let_in_from_the_moment_on_when_that_is_said() -> None:
    who = Who(Host(), lambda: 0.0)
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS

    assert who.keep_out([f"if{BRIDGE}"])

    assert who.source("172.17.0.2", BRIDGES) is None
    assert who.is_guest("172.17.0.2")
    assert not who.keep_out([f"if{BRIDGE}"])  # nothing new


def test_also_if_the_bridge_has_another_name_by_now() -> None:
    host = Host()
    who = Who(host, lambda: 0.0)
    assert who.source("172.18.0.2", BRIDGES) is Source.CONTAINERS

    host.links_now = [
        msgspec.structs.replace(one, name="renamed") if one.index == DOCKERS else one for one in host.links_now
    ]
    assert who.keep_out(["renamed"])

    assert who.source("172.18.0.2", BRIDGES) is None


def test_before_it_is_known_whether_a_bridge_leads_out_nobody_comes_in_by_it() -> None:
    who, bridge = Who(Host(), lambda: 0.0), bridge_of(BRIDGE, f"if{BRIDGE}")
    assert who.keep_out([], told=[])
    with pytest.raises(Untold) as untold:
        who.source("172.17.0.2", BRIDGES)
    assert untold.value.bridge == bridge
    assert who.source("172.17.0.1", BRIDGES) is Source.CONTAINERS  # this host
    assert who.source("10.5.0.2", BRIDGES) is None  # none of containers, whoever tells
    assert who.is_guest("172.17.0.2")

    assert who.keep_out([], told=[bridge])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    assert who.keep_out([f"if{BRIDGE}"], told=[bridge])
    assert who.source("172.17.0.2", BRIDGES) is None

    assert who.keep_out([], told=[bridge_of(BRIDGE + 100, f"if{BRIDGE}")])  # it has been made anew
    with pytest.raises(Untold):
        who.source("172.17.0.2", BRIDGES)
    who.let_in(bridge)
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS


def test_nobody_is_let_in_while_the_kernel_cannot_be_asked() -> None:
    host = Host()
    host.is_silent = True

    assert Who(host).source("172.17.0.2", BRIDGES) is None


def test_a_cafe_with_the_numbers_of_a_container_network_that_is_gone_is_not_believed_for_a_moment() -> None:
    host = Host()
    who = Who(host, lambda: 0.0)
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS

    host.ways["172.17.0.2"] = Route((Hop(WLAN),), 254)

    assert who.source("172.17.0.2", BRIDGES) is None


def test_what_a_bridge_is_for_is_looked_at_again_after_a_minute_and_after_a_no_in_a_second() -> None:
    host, now = Host(), [0.0]
    who = Who(host, lambda: now[0])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS

    host.links_now = (_link(BRIDGE, "bridge"), _link(13, "", BRIDGE))
    now[0] = KEPT_S
    assert who.source("172.17.0.2", BRIDGES) is None

    host.links_now = LINKS
    now[0] += NO_KEPT_S
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS


def test_a_route_that_is_gone_for_a_moment_lets_nobody_in_for_a_minute() -> None:
    host, now = Host(), [0.0]
    who = Who(host, lambda: now[0])
    host.with_routers.clear()
    assert who.source("10.1.0.2", BRIDGES) is Source.CONTAINERS  # nothing tells it from a bridge of containers

    host.with_routers, now[0] = {LXC_BRIDGE}, NO_KEPT_S

    assert who.source("10.1.0.2", BRIDGES) is None


def test_the_first_container_of_a_bridge_is_let_in_at_once() -> None:
    host = Host()
    who = Who(host, lambda: 0.0)
    assert who.source("10.8.0.2", BRIDGES) is None

    host.links_now = (*LINKS, _link(17, "veth", EMPTY))

    assert who.source("10.8.0.2", BRIDGES) is Source.CONTAINERS


@pytest.mark.parametrize(("peer", "interface"), [("10.0.0.9", WLAN), ("10.9.0.2", LAN_BRIDGE), ("10.7.0.2", UPLINK)])
def test_however_often_a_stranger_asks_the_kernel_is_asked_for_one_interface_once_in_a_second(
    peer: str, interface: int
) -> None:
    host, now = Host(), [0.0]
    who = Who(host, lambda: now[0])

    for number in range(100):
        now[0] = NO_KEPT_S * number / 100
        assert who.source(peer, BRIDGES) is None

    assert host.asked == [interface]
    assert host.asked_for_ports == [interface] * (interface != WLAN)


def test_all_addresses_at_one_port_of_a_bridge_are_one_source() -> None:
    host, now = Host(), [0.0]
    who = Who(host, lambda: now[0])

    one, again, other, here, *unknown = who.whose(
        ["172.17.0.2", "::ffff:172.17.7.7", "172.17.0.3", "172.17.0.1", "172.17.8.8", "172.17.8.9"]
    )
    assert one == again
    assert len({one, other, here, *unknown}) == 4

    now[0] = WHOSE_KEPT_S / 2
    assert who.whose(["172.17.0.2"] * 100) == [one] * 100
    assert len(host.asked_whose) == 6
    host.ports["172.17.0.2"], now[0] = 11, WHOSE_KEPT_S  # who has an address may have it no more
    assert who.whose(["172.17.0.2"]) == [other]
    host.is_silent, now[0] = True, 2 * WHOSE_KEPT_S
    assert who.whose(["172.17.0.2"]) == ["172.17.0.2"]


@pytest.mark.parametrize(("owner", "is_roots"), [(0, True), (1000, False), (None, False)])
def test_whose_a_connection_of_this_host_is(owner: int | None, is_roots: bool) -> None:
    host = Host()
    host.owner = owner
    ends = ("127.0.0.1", 40000), ("127.0.0.1", 3130)
    assert Who(host).is_roots(*ends) is is_roots
    assert Who(host).are_roots([ends, ends]) == [is_roots, is_roots]

    host.is_silent = True
    assert not Who(host).is_roots(*ends)
    assert Who(host).are_roots([ends, ends]) == [False, False]


def test_who_comes_by_ever_new_addresses_and_bridges_fills_nothing() -> None:
    who = Who(Host(), lambda: 0.0)
    for number in range(100):
        assert len(who.whose([f"10.{number}.{each >> 8}.{each & 255}" for each in range(1000)])) == 1000
        assert len(who._whose) <= 4096
    for number in range(1000):
        who.let_in(f"{number} br-0123456789ab")
    assert len(who._let_in) <= 256

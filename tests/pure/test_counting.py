"""Which interfaces say where the host is: told by what they are, not by what they are called."""

from __future__ import annotations

import pytest

from agent.see.counting import CountedInterface, counting, is_of_guests
from agent.see.netlink_messages import Link

HARDWARE = ("wlan0", "eth0", "ib0")


def link(index: int, name: str, kind: str = "", *, is_ethernet: bool = True, master: int = 0, below: int = 0) -> Link:
    return Link(index, name, True, True, is_ethernet=is_ethernet, kind=kind, master=master, below=below)


def found(*links: Link, leaving: int = 0, named: str = "", upstreams: tuple[str, ...] = ()) -> list[CountedInterface]:
    return counting(
        links, {leaving} - {0}, lambda name: name == named, lambda: upstreams, lambda link: link.name in HARDWARE
    )


def names(*links: Link, leaving: int = 0, named: str = "", upstreams: tuple[str, ...] = ()) -> list[str]:
    return [one.link.name for one in found(*links, leaving=leaving, named=named, upstreams=upstreams)]


LAN, ETH0_OF_IT = link(9, "lan", "bridge"), link(3, "eth0", master=9)
TUN, WG = link(9, "tun0", "tun", is_ethernet=False), link(9, "wg0", "wireguard", is_ethernet=False)


@pytest.mark.parametrize(
    ("links", "counted"),
    [
        pytest.param([link(1, "lo", is_ethernet=False)], [], id="loopback"),
        pytest.param([link(3, "eth0"), link(2, "wlan0")], ["eth0", "wlan0"], id="hardware"),
        pytest.param([link(9, "lxdbr0", "bridge")], [], id="a-bridge-without-ports"),
        pytest.param([link(9, "backend", "bridge"), link(10, "guest0", "veth", master=9)], [], id="with-a-container"),
        pytest.param([link(9, "incusbr0", "bridge"), link(10, "tap1", "tun", master=9)], [], id="with-a-machine"),
        pytest.param([LAN, ETH0_OF_IT], ["lan"], id="over-hardware"),
        pytest.param([LAN, ETH0_OF_IT, link(10, "tap1", "tun", master=9)], ["lan"], id="over-hardware-with-a-machine"),
        pytest.param(
            [LAN, link(10, "bond0", "bond", master=9), link(3, "eth0", master=10)], ["eth0", "lan"], id="over-a-bond"
        ),
        pytest.param([LAN, link(10, "vx", "vxlan", master=9)], [], id="over-a-net-of-guests"),
        pytest.param([link(9, "bond0", "bond"), link(3, "eth0", master=9)], ["bond0", "eth0"], id="a-bond"),
        pytest.param([link(9, "team0", "team"), link(3, "eth0", master=9)], ["eth0", "team0"], id="a-team"),
        pytest.param([link(9, "bond0", "bond")], [], id="a-bond-of-nothing"),
        pytest.param([link(9, "eth0.7", "vlan", below=3), link(3, "eth0")], ["eth0", "eth0.7"], id="a-vlan"),
        pytest.param(
            [link(9, "bond0.7", "vlan", below=8), link(8, "bond0", "bond"), link(3, "eth0", master=8)],
            ["bond0", "bond0.7", "eth0"],
            id="a-vlan-over-a-bond",
        ),
        pytest.param([link(9, "macsec0", "macsec", below=3), link(3, "eth0")], ["eth0", "macsec0"], id="a-macsec"),
        pytest.param(
            [link(9, "v.7", "vlan", below=8), link(8, "v", "veth"), link(3, "eth0")],
            ["eth0"],
            id="a-vlan-over-a-guest-s",
        ),
        pytest.param([link(8, "a", "vlan", below=9), link(9, "b", "vlan", below=8)], [], id="over-one-another"),
        pytest.param([link(9, "vnet0", "tun")], [], id="a-tap"),
        pytest.param([link(9, "hostonly0")], [], id="virtualbox-whatever-it-is-called"),
        pytest.param(
            [link(9, "ve-guest", "veth"), link(3, "eth0")],
            ["eth0"],
            id="the-host-s-end-of-a-container-without-a-bridge",
        ),
        pytest.param([link(9, "kube-ipvs0", "dummy")], [], id="a-dummy"),
        pytest.param([link(9, "shim", "macvlan", below=3), link(3, "eth0")], ["eth0"], id="a-macvlan-for-containers"),
        pytest.param([TUN], ["tun0"], id="a-vpn-s-tun"),
        pytest.param([WG], ["wg0"], id="wireguard"),
        pytest.param([link(9, "ppp0", "ppp", is_ethernet=False)], ["ppp0"], id="ppp"),
        pytest.param([link(9, "podman-vpn", "wireguard", is_ethernet=False)], ["podman-vpn"], id="a-name-says-nothing"),
    ],
)
def test_which_interfaces_count(links: list[Link], counted: list[str]) -> None:
    assert names(*links) == counted


@pytest.mark.parametrize(
    "virtual",
    [link(9, "tap0", "tun"), link(9, "hostonly0"), link(9, "br0", "bridge"), link(9, "eth0-of-lxc", "veth")],
    ids=lambda link: link.name,
)
def test_what_the_world_lies_behind_counts(virtual: Link) -> None:
    hardware = link(3, "eth0")

    assert names(virtual, hardware) == ["eth0"]
    assert sorted(names(virtual, hardware, leaving=9)) == sorted(["eth0", virtual.name])
    assert names(virtual, leaving=9) == [virtual.name]


@pytest.mark.parametrize("virtual", [link(9, "tap0", "tun"), link(9, "hostonly0"), link(9, "net0", "veth")])
def test_what_an_upstream_lies_behind_counts(virtual: Link) -> None:
    assert found(virtual, upstreams=(virtual.name,)) == [CountedInterface(virtual, is_ground=True, is_by_upstream=True)]


def test_an_upstream_in_a_container_makes_no_network_of_its_bridge() -> None:
    bridge, port = link(9, "br-0123456789ab", "bridge"), link(10, "veth1", "veth", master=9)

    assert names(bridge, port, upstreams=("br-0123456789ab", "veth1")) == []


def test_upstreams_are_not_asked_for_where_they_decide_nothing() -> None:
    asked: list[str] = []

    def to_upstreams() -> list[str]:
        asked.append("asked")
        return []

    links = [link(3, "eth0"), link(8, "docker0", "bridge"), link(10, "veth1", "veth", master=8)]
    counting(links, (), lambda _: False, to_upstreams, lambda link: link.name in HARDWARE)
    assert asked == []

    counting([*links, TUN], (), lambda _: False, to_upstreams, lambda link: link.name in HARDWARE)
    assert asked == []  # a tunnel counts, and is no ground

    counting([*links, link(7, "tap0", "tun")], (), lambda _: False, to_upstreams, lambda link: link.name in HARDWARE)
    assert asked == ["asked"]


@pytest.mark.parametrize(
    ("links", "leaving", "upstreams", "is_ground"),
    [
        pytest.param([link(3, "eth0")], 0, (), True, id="hardware"),
        pytest.param([link(3, "ib0", is_ethernet=False)], 0, (), True, id="hardware-that-is-no-ethernet"),
        pytest.param([TUN], 0, (), False, id="a-tunnel"),
        pytest.param([TUN], 9, (), True, id="a-tunnel-to-the-world"),
        pytest.param([TUN], 0, ("tun0",), True, id="a-tunnel-to-an-upstream"),
        pytest.param([link(9, "zt0", "tun")], 0, (), False, id="named"),
    ],
)
def test_what_is_asked_whether_the_host_is_offline(
    links: list[Link], leaving: int, upstreams: tuple[str, ...], is_ground: bool
) -> None:
    (one,) = found(*links, leaving=leaving, named="zt0", upstreams=upstreams)

    assert one == CountedInterface(links[0], is_ground=is_ground)


PPP, WWAN = link(8, "ppp0", "ppp", is_ethernet=False), link(8, "wwan0", is_ethernet=False)


@pytest.mark.parametrize("tunnel", [TUN, WG, *(link(9, kind, kind, is_ethernet=False) for kind in ("sit", "xfrm"))])
def test_a_tunnel_is_no_ground_though_the_world_and_the_upstream_lie_behind_it(tunnel: Link) -> None:
    """It and its routes stay when the Wi-Fi goes."""
    assert CountedInterface(tunnel, is_ground=False) in found(
        tunnel, link(2, "wlan0"), leaving=9, upstreams=(tunnel.name,)
    )


@pytest.mark.parametrize("dialled", [PPP, WWAN], ids=lambda link: link.name)
def test_a_modem_is_ground_where_the_world_lies_behind_it(dialled: Link) -> None:
    assert CountedInterface(dialled, is_ground=True) in found(dialled, link(2, "wlan0"), leaving=8)


@pytest.mark.parametrize("kind", ["veth", "macvlan", "ipvlan"])
def test_a_guest_stands_on_its_own_link_before_it_knows_the_way_to_an_upstream(kind: str) -> None:
    """It has no default route, and its upstream a name: offline, it would never be looked up."""
    own = link(2, "uplink", kind)

    assert found(own) == [CountedInterface(own, is_ground=True, is_by_upstream=True)]
    assert found(own) == found(own, upstreams=("uplink",))  # to become known is no change
    assert found(own, named="uplink") == [CountedInterface(own, is_ground=True)]
    assert found(own, link(3, "eth0")) == [CountedInterface(link(3, "eth0"), is_ground=True)]
    # A VPN in it, and a container.
    assert found(own, WG, link(5, "docker0", "bridge"), link(6, "veth1", "veth", master=5), leaving=9) == [
        CountedInterface(own, is_ground=True, is_by_upstream=True),
        CountedInterface(WG, is_ground=False),
    ]
    way_out = link(4, "eth1", "veth")
    assert found(own, way_out, leaving=4) == [CountedInterface(way_out, is_ground=True)]


def test_a_tap_that_the_policy_names_counts() -> None:
    assert names(link(9, "zt0", "tun"), named="zt0") == ["zt0"]


def test_a_port_of_a_bridge_never_counts() -> None:
    bridge, port = link(9, "backend", "bridge"), link(10, "guest0", "veth", master=9)

    assert names(bridge, port, leaving=10, named="guest0", upstreams=("guest0",)) == []


@pytest.mark.parametrize(
    ("links", "is_guests"),
    [
        pytest.param([link(9, "lan0", "bridge")], True, id="nothing-is-on-it-yet"),
        pytest.param([link(9, "lan0", "bridge"), link(10, "guest0", "veth", master=9)], True, id="a-container"),
        pytest.param([link(9, "lan0", "bridge"), link(10, "tap0", "tun", master=9)], True, id="a-virtual-machine"),
        pytest.param(
            [link(9, "lan0", "bridge"), link(10, "guest0", "veth", master=9), link(2, "eth0", master=9)],
            False,
            id="it-leads-out",
        ),
        pytest.param([link(9, "lan0")], False, id="no-bridge"),
        pytest.param([], False, id="it-has-gone"),
    ],
)
def test_a_bridge_that_only_guests_are_on(links: list[Link], is_guests: bool) -> None:
    assert is_of_guests("lan0", links) is is_guests

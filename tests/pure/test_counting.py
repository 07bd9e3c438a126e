"""Which interfaces say where the host is: told by what they are, not by what they are called."""

from __future__ import annotations

import pytest

from agent.see.counting import counting, is_of_guests
from agent.see.netlink_messages import Link


def link(index: int, name: str, kind: str = "", *, is_ethernet: bool = True, master: int = 0) -> Link:
    return Link(index, name, True, True, is_ethernet=is_ethernet, kind=kind, master=master)


def names(*links: Link, leaving: int = 0, named: str = "", hardware: tuple[str, ...] = ("wlan0", "eth0")) -> list[str]:
    found = counting(links, {leaving} - {0}, lambda name: name == named, lambda name: name in hardware)
    return [link.name for link in found]


@pytest.mark.parametrize(
    ("links", "counted"),
    [
        pytest.param([link(1, "lo", is_ethernet=False)], [], id="loopback"),
        pytest.param([link(3, "eth0"), link(2, "wlan0")], ["eth0", "wlan0"], id="hardware"),
        pytest.param([link(9, "lxdbr0", "bridge")], [], id="a-bridge-without-ports"),
        pytest.param([link(9, "backend", "bridge"), link(10, "guest0", "veth", master=9)], [], id="with-a-container"),
        pytest.param([link(9, "incusbr0", "bridge"), link(10, "tap1", "tun", master=9)], [], id="with-a-machine"),
        pytest.param([link(9, "lan", "bridge"), link(3, "eth0", master=9)], ["lan"], id="over-hardware"),
        pytest.param(
            [link(9, "lan", "bridge"), link(3, "eth0", master=9), link(10, "tap1", "tun", master=9)],
            ["lan"],
            id="over-hardware-with-a-machine",
        ),
        pytest.param([link(9, "lan", "bridge"), link(10, "bond0", "bond", master=9)], ["lan"], id="over-a-bond"),
        pytest.param([link(9, "bond0", "bond"), link(3, "eth0", master=9)], ["bond0", "eth0"], id="a-bond"),
        pytest.param([link(9, "eth0.7", "vlan")], ["eth0.7"], id="a-vlan"),
        pytest.param([link(9, "vnet0", "tun")], [], id="a-tap"),
        pytest.param([link(9, "hostonly0")], [], id="virtualbox-whatever-it-is-called"),
        pytest.param([link(9, "tun0", "tun", is_ethernet=False)], ["tun0"], id="a-vpn-s-tun"),
        pytest.param([link(9, "wg0", "wireguard", is_ethernet=False)], ["wg0"], id="wireguard"),
        pytest.param([link(9, "ppp0", "ppp", is_ethernet=False)], ["ppp0"], id="ppp"),
        pytest.param([link(9, "eth0", "veth")], ["eth0"], id="the-veth-of-an-lxc-guest"),
    ],
)
def test_what_counts(links: list[Link], counted: list[str]) -> None:
    assert names(*links) == counted


@pytest.mark.parametrize(
    "virtual", [link(9, "tap0", "tun"), link(9, "hostonly0"), link(9, "br0", "bridge")], ids=lambda link: link.name
)
def test_what_the_world_lies_behind_counts(virtual: Link) -> None:
    assert names(virtual) == []
    assert names(virtual, leaving=9) == [virtual.name]


def test_a_tap_that_the_policy_names_counts() -> None:
    assert names(link(9, "zt0", "tun"), named="zt0") == ["zt0"]


def test_a_port_of_a_bridge_never_counts() -> None:
    bridge, port = link(9, "backend", "bridge"), link(10, "guest0", "veth", master=9)

    assert names(bridge, port, leaving=10, named="guest0") == []


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

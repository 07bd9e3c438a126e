"""Whose connections a listener takes, as the kernel has it, and which hosts are loopback."""

from __future__ import annotations

import pytest

from agent.values.listening import Listener, all_loopback, loopback_addresses, on_the_bridge, on_this_host

LO, DOCKER0 = 1, 3
BRIDGE = "172.17.0.1"


def listener(address: str, *, only_ipv6: bool = False, interface: int = 0) -> Listener:
    return Listener(address, 7890, 1000, 1, only_ipv6, interface)


@pytest.mark.parametrize(
    ("its", "takes"),
    [
        pytest.param(listener("127.0.0.1"), {"127.0.0.1"}, id="one-address"),
        pytest.param(listener("::1"), {"::1"}, id="one-of-ipv6"),
        pytest.param(listener(BRIDGE), {BRIDGE}, id="the-bridge"),
        pytest.param(listener("0.0.0.0"), {"127.0.0.1", "127.8.8.8", BRIDGE}, id="all-of-ipv4"),
        pytest.param(listener("::"), {"127.0.0.1", "127.8.8.8", BRIDGE, "::1"}, id="all-of-both"),
        pytest.param(listener("::", only_ipv6=True), {"::1"}, id="all-of-ipv6-alone"),
    ],
)
def test_whose_connections_it_takes(its: Listener, takes: set[str]) -> None:
    asked = ("127.0.0.1", "127.8.8.8", BRIDGE, "::1")

    assert {address for address in asked if its.takes(address, 7890)} == takes
    assert not any(its.takes(address, 7891) for address in asked)


@pytest.mark.parametrize(
    ("interface", "by_lo", "by_the_bridge"),
    [
        pytest.param(0, True, True, id="to-none"),
        pytest.param(LO, True, False, id="to-lo"),
        pytest.param(DOCKER0, False, True, id="to-the-bridge"),
    ],
)
def test_a_socket_bound_to_an_interface(interface: int, by_lo: bool, by_the_bridge: bool) -> None:
    everywhere = [listener("0.0.0.0", interface=interface)]

    assert bool(on_this_host(everywhere, ("127.0.0.1",), 7890)) is by_lo
    assert bool(on_the_bridge(everywhere, BRIDGE, 7890)) is by_the_bridge


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("127.8.8.8", ("127.8.8.8",)),
        ("::1", ("::1",)),
        ("::ffff:127.0.0.1", ("127.0.0.1",)),
        ("0.0.0.0", ("127.0.0.1",)),
        ("::", ("::1",)),
        ("localhost", ("127.0.0.1", "::1")),
        ("proxy.localhost", ("127.0.0.1", "::1")),
        ("ip6-localhost", ("127.0.0.1", "::1")),
        ("172.17.0.1", ()),
        ("::ffff:172.17.0.1", ()),
        ("fe80::1", ()),
        ("localhost.example", ()),
        ("proxy.example", ()),
    ],
)
def test_what_is_loopback_as_it_is_spelled(host: str, addresses: tuple[str, ...]) -> None:
    assert loopback_addresses(host) == addresses


@pytest.mark.parametrize(
    ("resolved", "addresses"),
    [
        pytest.param(["127.0.1.1"], ("127.0.1.1",), id="the-hosts-own-name-on-debian"),
        pytest.param(["127.0.0.1", "::1", "127.0.0.1"], ("127.0.0.1", "::1"), id="several"),
        pytest.param(["10.0.0.1"], (), id="elsewhere"),
        pytest.param(["127.0.0.1", "10.0.0.1"], (), id="only-one-of-two"),
        pytest.param([], (), id="nothing"),
    ],
)
def test_a_name_is_loopback_if_all_of_it_is(resolved: list[str], addresses: tuple[str, ...]) -> None:
    assert all_loopback(resolved) == addresses

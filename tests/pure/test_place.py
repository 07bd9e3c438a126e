"""What tells a place from others whatever its addresses and DNS."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.place import place_of
from agent.values.policy import Network
from agent.values.snapshot import Interface, Snapshot, Way

OFFICE, HOME = Network("office", ("direct",)), Network("home", ("direct",))
WIFI = Interface("wlan0", ssid="Corp", ipv4=("10.10.0.7/16",), gateways=("10.10.0.1",))
TUNNEL = Interface("tun0", ipv4=("10.8.0.2/24",))
HERE = Snapshot((WIFI,), ("10.10.0.1",), ("corp.example",), Way("wlan0", "10.10.0.1", "10.10.0.7"))


def wifi(**changes: object) -> Snapshot:
    return here(interfaces=(msgspec.structs.replace(WIFI, **changes),))


def here(**changes: object) -> Snapshot:
    return msgspec.structs.replace(HERE, **changes)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(wifi(ipv4=("10.10.9.9/16",)), id="another-address"),
        pytest.param(wifi(ipv6_64s=("2001:db8::/64",)), id="one-more"),
        pytest.param(here(dns_servers=()), id="no-dns-server"),
        pytest.param(here(dns_servers=("1.1.1.1",), dns_search=()), id="another-dns-server"),
        pytest.param(here(way_ipv4=Way("wlan0", "10.10.0.1", "10.10.9.9")), id="from-another-address"),
        pytest.param(here(interfaces=(Interface("eth0", has_carrier=False), WIFI)), id="a-socket-with-nothing-in-it"),
    ],
)
def test_addresses_and_dns_change_and_the_place_is_the_same(seen: Snapshot) -> None:
    assert seen.fingerprint() != HERE.fingerprint() or seen.interfaces != HERE.interfaces
    assert place_of(OFFICE, seen) == place_of(OFFICE, HERE) is not None


@pytest.mark.parametrize(
    ("network", "seen"),
    [
        pytest.param(HOME, HERE, id="another-entry-of-the-policy"),
        pytest.param(OFFICE, wifi(ssid="Guest"), id="another-ssid"),
        pytest.param(OFFICE, wifi(gateways=("10.10.0.2",)), id="another-gateway"),
        pytest.param(OFFICE, wifi(gateway_macs=("02:00:00:00:00:01",)), id="another-router-with-its-address"),
        pytest.param(OFFICE, wifi(name="wlan1"), id="another-interface"),
        pytest.param(OFFICE, here(interfaces=(TUNNEL, WIFI)), id="a-vpn"),
        pytest.param(OFFICE, here(way_ipv4=Way("wlan0", "10.10.0.9")), id="a-vpn-of-routes"),
        pytest.param(OFFICE, here(way_ipv4=Way("wlan0", "10.10.0.1", table=51820)), id="a-vpn-of-rules"),
        pytest.param(OFFICE, here(way_ipv4=None), id="no-way"),
    ],
)
def test_another_place(network: Network, seen: Snapshot) -> None:
    assert place_of(network, seen) != place_of(OFFICE, HERE)


def test_where_nothing_but_an_address_tells_places_apart_there_is_none() -> None:
    assert place_of(OFFICE, here(interfaces=(TUNNEL,))) is None
    assert place_of(OFFICE, Snapshot()) is None

"""Two looks at one network have one fingerprint; two networks have two."""

from __future__ import annotations

import itertools
import re
from typing import Final

import msgspec
import pytest

from agent.values.snapshot import Interface, Snapshot, Way

WLAN0: Final = Interface(
    "wlan0",
    ssid="CorpNet-5G",
    ipv4=("10.10.0.7/16",),
    ipv6_64s=("2001:db8:1:2::/64",),
    gateways=("10.10.0.1", "fe80::1"),
    gateway_macs=("52:54:00:00:00:01",),
)
WAY: Final = Way("wlan0", "10.10.0.1", "10.10.0.7")
WAY_IPV6: Final = Way("wlan0", "fe80::1", "2001:db8:1:2::7")


def at_office(*more: Interface, **changed: object) -> Snapshot:
    """The office's network by Wi-Fi, but for what is changed of the snapshot, or of wlan0."""
    of_wlan0 = {key: value for key, value in changed.items() if key in Interface.__struct_fields__}
    of_snapshot = {key: value for key, value in changed.items() if key not in of_wlan0}
    wlan0 = msgspec.structs.replace(WLAN0, **of_wlan0)
    interfaces = tuple(sorted((wlan0, *more), key=lambda interface: interface.name))
    seen = Snapshot(interfaces, ("10.10.0.53", "10.10.1.53"), ("corp.example",), WAY, WAY_IPV6)
    return msgspec.structs.replace(seen, **of_snapshot)


# Within a list all are the same network; across lists none is.
NETWORKS: Final = {
    "office": [
        pytest.param(at_office(), id="office"),
        pytest.param(
            at_office(way_ipv6=msgspec.structs.replace(WAY_IPV6, source="2001:db8:1:2:a1b2:c3d4:e5f6:1")),
            id="the-ipv6-address-rotated",
        ),
        pytest.param(at_office(Interface("eth0", has_carrier=False)), id="an-unplugged-interface-came"),
        pytest.param(
            at_office(Interface("eth0", has_carrier=False, ipv4=("192.168.9.9/24",), gateways=("192.168.9.1",))),
            id="an-unplugged-interface-kept-its-address",
        ),
        pytest.param(at_office(Interface("eth0", ipv4=("169.254.3.4/16",))), id="an-interface-waits-for-dhcp"),
        pytest.param(at_office(dns_servers=("10.10.1.53", "10.10.0.53")), id="dns-servers-in-another-order"),
    ],
    "ssid": [pytest.param(at_office(ssid="Café"), id="another-ssid")],
    "no-ssid": [pytest.param(at_office(ssid=None), id="no-ssid")],
    "address": [pytest.param(at_office(ipv4=("10.10.0.8/16",)), id="another-address")],
    "prefix": [pytest.param(at_office(ipv4=("10.10.0.7/24",)), id="another-prefix")],
    "ipv6": [pytest.param(at_office(ipv6_64s=("2001:db8:1:3::/64",)), id="another-64")],
    "gateway": [pytest.param(at_office(gateways=("10.10.0.2", "fe80::1")), id="another-gateway")],
    "mac": [pytest.param(at_office(gateway_macs=("52:54:00:00:00:02",)), id="another-box-with-the-same-address")],
    "dns": [pytest.param(at_office(dns_servers=("10.10.0.53",)), id="a-dns-server-less")],
    "search": [pytest.param(at_office(dns_search=()), id="no-search-domain")],
    "vpn": [pytest.param(at_office(way_ipv4=Way("wg0", None, "10.8.0.2", 51820)), id="vpn-by-rules-and-routes-only")],
    "half-vpn": [pytest.param(at_office(way_ipv6=Way("wg0", None, None, 51820)), id="vpn-for-ipv6-only")],
    "table": [pytest.param(at_office(way_ipv4=msgspec.structs.replace(WAY, table=7)), id="another-table")],
    "no-way": [pytest.param(at_office(way_ipv4=None), id="no-default-route")],
    "docked": [pytest.param(at_office(Interface("eth0", ipv4=("10.10.0.9/16",))), id="docked")],
}


@pytest.mark.parametrize("snapshot", NETWORKS["office"])
def test_the_same_network(snapshot: Snapshot) -> None:
    assert snapshot.fingerprint() == at_office().fingerprint()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(one.values[0], other.values[0], id=f"{one.id}-{other.id}")
        for ones, others in itertools.combinations(NETWORKS.values(), 2)
        for one, other in itertools.product(ones, others)
    ],
)
def test_another_network(one: Snapshot, other: Snapshot) -> None:
    assert one.fingerprint() != other.fingerprint()


def test_a_fingerprint_fits_into_a_log_line() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", at_office().fingerprint())


@pytest.mark.parametrize(
    ("interface", "is_online"),
    [
        pytest.param(Interface("wlan0", ipv4=("10.10.0.7/16",)), True, id="ipv4"),
        pytest.param(Interface("wlan0", ipv6_64s=("2001:db8:1:2::/64",)), True, id="ipv6-only"),
        pytest.param(Interface("wlan0", ipv6_64s=("fd00::/64",)), True, id="unique-local"),
        pytest.param(Interface("wlan0", ipv4=("169.254.3.4/16", "10.10.0.7/16")), True, id="one-is-enough"),
        pytest.param(Interface("wlan0", ipv4=("169.254.3.4/16",)), False, id="link-local-only"),
        pytest.param(Interface("wlan0"), False, id="no-address"),
        pytest.param(Interface("wlan0", has_carrier=False, ipv4=("10.10.0.7/16",)), False, id="no-carrier"),
    ],
)
def test_online(interface: Interface, is_online: bool) -> None:
    assert interface.is_online == is_online
    assert Snapshot((interface,)).is_offline != is_online


def test_no_default_route_is_not_offline() -> None:
    assert not at_office(way_ipv4=None, way_ipv6=None, gateways=()).is_offline


TUNNEL = Interface("wg0", ipv4=("10.8.0.2/24",), is_ground=False)


@pytest.mark.parametrize(
    ("interfaces", "is_offline"),
    [
        pytest.param((TUNNEL,), True, id="a-tunnel-over-nothing"),
        pytest.param((TUNNEL, Interface("wlan0", has_carrier=False)), True, id="the-wi-fi-is-off"),
        pytest.param((TUNNEL, Interface("wlan0", ipv4=("169.254.3.4/16",))), True, id="no-address-yet"),
        pytest.param((TUNNEL, Interface("wlan0", ipv4=("10.10.0.7/16",))), False, id="over-wi-fi"),
        pytest.param((msgspec.structs.replace(TUNNEL, is_ground=True),), False, id="a-way-leads-out-there"),
    ],
)
def test_what_stays_up_without_anything_below_it_is_no_network(
    interfaces: tuple[Interface, ...], is_offline: bool
) -> None:
    assert Snapshot(interfaces).is_offline == is_offline


def test_what_counts_from_when_a_name_became_known_is_no_change() -> None:
    bridge = Interface("hostonly0", ipv4=("192.168.56.1/24",), is_by_upstream=True)
    before = at_office()
    after = msgspec.structs.replace(before, interfaces=(bridge, *before.interfaces))

    assert after.fingerprint() == before.fingerprint()
    assert after.around() == before.around() is not None


def test_a_way_that_comes_to_lead_through_what_counted_is_told_by_the_way_alone() -> None:
    before = at_office()
    interfaces = tuple(msgspec.structs.replace(one, is_ground=False) for one in before.interfaces)

    assert msgspec.structs.replace(before, interfaces=interfaces).fingerprint() == before.fingerprint()

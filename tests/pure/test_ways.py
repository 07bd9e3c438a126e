"""Ways that change while all else stays: seen; ways that become known: not."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.place import place_of
from agent.see.ways import Ways
from agent.values.policy import Network
from agent.values.snapshot import Interface, OtherWay, Snapshot, Way

HOME = Snapshot((Interface("wlan0", ipv4=("10.20.0.7/16",), gateways=("10.20.0.1",)),), ("10.20.0.1",))
CAFE = Snapshot((Interface("wlan0", ipv4=("10.30.0.7/16",), gateways=("10.30.0.1",)),), ("10.30.0.1",))
NETWORK = Network("home", ("direct",))
OFFLINE = Snapshot((Interface("wlan0", has_carrier=False),))
BY_HOME = Way("wlan0", "10.20.0.1")
BY_VPN = Way("tun0", None, table=52)
PROXY, OTHER, IPV6 = "10.10.0.2", "10.10.0.3", "2001:db8::2"


class Kernel:
    """Its answers, as the test lays them down."""

    def __init__(self) -> None:
        self.ways: dict[str, Way] = {PROXY: BY_HOME, OTHER: BY_HOME}
        self.asked: list[str] = []

    def __call__(self, address: str) -> Way | None:
        self.asked.append(address)
        return self.ways.get(address)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def ways(kernel: Kernel) -> Ways:
    return Ways(kernel)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(BY_VPN, id="interface"),
        pytest.param(Way("wlan0", "10.20.0.9"), id="gateway"),
        pytest.param(Way("wlan0", "10.20.0.1", table=52), id="table"),
        pytest.param(None, id="no-way"),
    ],
)
def test_another_way_is_another_network_and_the_way_back_leads_back(
    ways: Ways, kernel: Kernel, changed: Way | None
) -> None:
    before = ways.seen(HOME, [PROXY])

    kernel.ways = {} if changed is None else {PROXY: changed}
    meanwhile = ways.seen(HOME, [PROXY])
    kernel.ways = {PROXY: BY_HOME}

    assert meanwhile.ways == (OtherWay(PROXY, changed),)
    assert meanwhile.fingerprint() != before.fingerprint()
    assert ways.seen(HOME, [PROXY]) == before == HOME


def test_a_name_counts_from_its_first_resolution_on(ways: Ways, kernel: Kernel) -> None:
    assert ways.seen(HOME, ["proxy.corp.example"]) == HOME
    assert kernel.asked == []

    ways.note_resolved("proxy.corp.example", [PROXY])
    assert ways.seen(HOME, ["proxy.corp.example"]) == HOME

    kernel.ways[PROXY] = BY_VPN
    assert ways.seen(HOME, ["proxy.corp.example"]).ways == (OtherWay(PROXY, BY_VPN),)


def test_a_way_that_changes_before_the_first_look_after_the_resolution_is_seen(ways: Ways, kernel: Kernel) -> None:
    ways.seen(HOME, [])
    ways.note_resolved("proxy.corp.example", [PROXY])

    kernel.ways[PROXY] = BY_VPN  # a policy with `recheck = "0s"` has no look in between

    assert ways.seen(HOME, []) != HOME


def test_one_more_address_of_a_name_is_no_change(ways: Ways, kernel: Kernel) -> None:
    ways.seen(HOME, [])
    ways.note_resolved("proxy.corp.example", [PROXY])
    kernel.ways[PROXY] = BY_VPN
    before = ways.seen(HOME, [])

    ways.note_resolved("proxy.corp.example", [OTHER, IPV6])

    assert ways.seen(HOME, []) == before


def test_the_families_of_a_name_are_told_apart(ways: Ways, kernel: Kernel) -> None:
    kernel.ways[IPV6] = Way("wlan0", "fe80::1")
    ways.seen(HOME, [])
    ways.note_resolved("proxy.corp.example", [PROXY, IPV6])

    kernel.ways[IPV6] = BY_VPN

    assert ways.seen(HOME, []).ways == (OtherWay(IPV6, BY_VPN),)


def test_another_network_forgets_what_was_known(ways: Ways, kernel: Kernel) -> None:
    ways.seen(HOME, [])
    ways.note_resolved("proxy.corp.example", [PROXY])

    assert ways.seen(CAFE, []) == CAFE
    kernel.ways[PROXY] = BY_VPN  # what the name is here was not asked yet

    assert ways.seen(CAFE, []) == CAFE


@pytest.mark.parametrize(
    "hole",
    [
        pytest.param(msgspec.structs.replace(HOME, dns_servers=()), id="of-dns"),
        pytest.param(msgspec.structs.replace(HOME, dns_search=("corp.example",)), id="another-search-domain"),
        pytest.param(
            Snapshot((Interface("wlan0", ipv4=("10.20.0.9/16",), gateways=("10.20.0.1",)),), ("10.20.0.1",)),
            id="another-address",
        ),
    ],
)
def test_a_hole_while_a_vpn_of_routes_is_up_is_no_move(ways: Ways, kernel: Kernel, hole: Snapshot) -> None:
    ways.seen(HOME, [PROXY])
    kernel.ways[PROXY] = BY_VPN
    before = ways.seen(HOME, [PROXY])

    meanwhile = ways.seen(hole, [PROXY])
    after = ways.seen(HOME, [PROXY])

    assert meanwhile.ways == (OtherWay(PROXY, BY_VPN),)
    assert place_of(NETWORK, meanwhile) == place_of(NETWORK, before) is not None
    assert after == before


def test_where_addresses_are_all_that_tells_places_apart_another_one_is_another_network(
    ways: Ways, kernel: Kernel
) -> None:
    ways.seen(Snapshot((Interface("wlan0", ipv4=("10.20.0.7/16",)),)), [])
    ways.note_resolved("proxy.corp.example", [PROXY])
    kernel.ways[PROXY] = BY_VPN

    moved = ways.seen(Snapshot((Interface("wlan0", ipv4=("10.30.0.7/16",)),)), [])

    assert moved.ways == ()


def test_offline_and_back_to_the_same_is_the_same(ways: Ways, kernel: Kernel) -> None:
    ways.seen(HOME, [PROXY])
    kernel.ways[PROXY] = BY_VPN
    before = ways.seen(HOME, [PROXY])

    kernel.ways = {}
    assert ways.seen(OFFLINE, [PROXY]) == OFFLINE
    kernel.ways = {PROXY: BY_VPN}

    assert ways.seen(HOME, [PROXY]) == before


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.1.1", "fe80::1%eth0", "0.0.0.0", "no address"])
def test_what_is_no_way_to_anywhere_is_not_asked_for(ways: Ways, kernel: Kernel, address: str) -> None:
    ways.seen(HOME, [address])
    ways.note_resolved("proxy.corp.example", [address])

    assert kernel.asked == []


def test_many_hosts_and_addresses_cost_no_more_than_some(ways: Ways, kernel: Kernel) -> None:
    ways.seen(HOME, [])
    for host in range(1000):
        ways.note_resolved(f"{host}.example", [f"10.9.{host % 250}.{n}" for n in range(100)])
    kernel.asked.clear()

    ways.seen(HOME, [])

    assert 0 < len(kernel.asked) <= 400


def test_what_ways_leave_by_is_known_of_addresses_and_of_names_that_were_looked_up(ways: Ways, kernel: Kernel) -> None:
    kernel.ways[OTHER] = BY_VPN
    ways.seen(HOME, [])
    assert ways.leaving([PROXY, "proxy.corp.example", "127.0.0.1"]) == {"wlan0"}

    ways.note_resolved("proxy.corp.example", [OTHER])
    ways.note_resolved("registry.corp.example", [IPV6])

    assert ways.leaving(["proxy.corp.example"]) == {"tun0"}


def test_ways_are_part_of_the_fingerprint() -> None:
    others = [(), (OtherWay(PROXY, None),), (OtherWay(PROXY, BY_VPN),), (OtherWay(OTHER, BY_VPN),)]

    assert len({msgspec.structs.replace(HOME, ways=ways).fingerprint() for ways in others}) == len(others)

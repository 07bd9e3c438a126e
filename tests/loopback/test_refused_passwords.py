"""A refused password is remembered where it was refused, whatever else comes and goes on the host."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.one_pass.refused_passwords import RefusedPasswords
from agent.values.policy import Upstream
from agent.values.secret import Secret
from agent.values.snapshot import Interface, OtherWay, Snapshot, Way
from tests.upstreams import upstream

WLAN0: Final = Interface("wlan0", ssid="CorpNet", ipv4=("10.10.0.7/16",), gateways=("10.10.0.1",))
OFFICE: Final = Snapshot((WLAN0,), ("10.10.0.1",), ("corp.example",), Way("wlan0", "10.10.0.1", "10.10.0.7"))


def office(user: str = "alice", word: str = "hunter2", url: str = "http://office:3128") -> Upstream:
    return upstream(url, username=user, password=Secret(word))


def with_another(interface: Interface) -> Snapshot:
    return msgspec.structs.replace(OFFICE, interfaces=(WLAN0, interface))


def where_wlan0(**other: object) -> Snapshot:
    return msgspec.structs.replace(OFFICE, interfaces=(msgspec.structs.replace(WLAN0, **other),))


def where(**other: object) -> Snapshot:
    return msgspec.structs.replace(OFFICE, **other)


@pytest.fixture
def refused(tmp_path: Path) -> RefusedPasswords:
    refused = RefusedPasswords(tmp_path)
    refused.add(office(), OFFICE)
    return refused


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(OFFICE, id="nothing"),
        pytest.param(with_another(Interface("lxdbr0", ipv4=("10.158.3.1/24",))), id="a-bridge-of-lxd"),
        pytest.param(with_another(Interface("vboxnet0", ipv4=("192.168.56.1/24",))), id="virtualbox"),
        pytest.param(with_another(Interface("tap0", ipv4=("192.168.77.1/24",))), id="a-machine-s-tap"),
        pytest.param(with_another(Interface("backend", ipv4=("172.20.0.1/16",))), id="a-docker-bridge-with-a-name"),
        pytest.param(where_wlan0(ipv4=("10.10.0.8/16",)), id="a-new-lease"),
        pytest.param(where_wlan0(ipv6_64s=("2001:db8:1:2::/64",), gateways=("10.10.0.1", "fe80::1")), id="ipv6"),
        pytest.param(where(way_ipv6=Way("wlan0", "fe80::1", "2001:db8:1:2::7")), id="a-way-by-ipv6"),
        pytest.param(where(dns_servers=("10.10.0.2",), dns_search=()), id="dns"),
    ],
)
def test_not_sent_again_whatever_comes_and_goes(tmp_path: Path, refused: RefusedPasswords, snapshot: Snapshot) -> None:
    assert refused.has(office(), snapshot)
    assert RefusedPasswords(tmp_path).has(office(), snapshot)


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(where(way_ipv4=Way("wlan0", "10.10.0.9", "10.10.0.7")), id="another-gateway"),
        pytest.param(where_wlan0(ssid="Guest"), id="another-ssid"),
        pytest.param(where_wlan0(ipv4=("10.10.0.7/24",)), id="another-network"),
        pytest.param(where_wlan0(gateway_macs=("52:54:00:00:00:02",)), id="another-mac"),
        pytest.param(where(way_ipv4=Way("wlan0", "10.10.0.1", "10.10.0.7", table=52)), id="another-table"),
        pytest.param(where(ways=(OtherWay("10.99.0.2", Way("tun0")),)), id="a-vpn-of-nothing-but-routes"),
        pytest.param(
            msgspec.structs.replace(
                with_another(Interface("tun0", ipv4=("10.8.0.2/24",))), way_ipv4=Way("tun0", None, "10.8.0.2")
            ),
            id="a-vpn",
        ),
        pytest.param(where(way_ipv4=None), id="no-way"),
    ],
)
def test_tried_once_elsewhere(refused: RefusedPasswords, snapshot: Snapshot) -> None:
    assert not refused.has(office(), snapshot)


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param(office(user="bob"), id="user"),
        pytest.param(office(word="hunter3"), id="password"),
        pytest.param(office(url="http://office:3129"), id="url"),
    ],
)
def test_another_one_is_not_refused(refused: RefusedPasswords, upstream: Upstream) -> None:
    assert not refused.has(upstream, OFFICE)


def test_without_a_way_to_the_world_the_links_tell_where_it_is(tmp_path: Path) -> None:
    locked_down = where(way_ipv4=None)
    refused = RefusedPasswords(tmp_path)
    refused.add(office(), locked_down)

    assert refused.has(office(), locked_down)
    assert not refused.has(office(), msgspec.structs.replace(where_wlan0(ssid="Guest"), way_ipv4=None))


def test_nothing_of_the_password_is_kept(tmp_path: Path, refused: RefusedPasswords) -> None:
    assert refused.has(office(), OFFICE)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hunter2" not in kept
    assert b"office" not in kept


def named(url: str, pac: str = "corp") -> Upstream:
    return msgspec.structs.replace(office(url=url), name=f"{pac} → {url}", named_by=pac)


def test_one_of_a_pac_is_refused_whatever_that_calls_its_proxies(tmp_path: Path) -> None:
    refused = RefusedPasswords(tmp_path)
    refused.add(named("http://a:1"), OFFICE, is_of_pac=True)

    assert refused.has(named("http://a:1"), OFFICE)
    assert refused.has(named("https://b:2"), OFFICE)
    assert not refused.has(named("http://b:2", "other"), OFFICE)
    assert not refused.has(office(url="http://b:2"), OFFICE)


def test_one_of_a_pac_that_another_proxy_takes_is_refused_by_one(tmp_path: Path) -> None:
    refused = RefusedPasswords(tmp_path)
    refused.add(named("http://a:1"), OFFICE, is_of_pac=True)

    refused.note_taken(named("http://b:2"), OFFICE)

    for known in (refused, RefusedPasswords(tmp_path)):
        assert known.has(named("http://a:1"), OFFICE)
        assert not known.has(named("http://b:2"), OFFICE)
        assert not known.has(named("http://c:3"), OFFICE)

"""Which network it is, and the words that say why."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.recognise import Recognised, is_like, recognise, why_not
from agent.values.policy import ELSEWHERE, Match, Network
from agent.values.snapshot import Interface, Snapshot
from tests.policies import policy_of

WLAN0: Final = Interface(
    "wlan0",
    ssid="CorpNet-5G",
    ipv4=("10.10.0.7/16",),
    ipv6_64s=("2001:db8:1:2::/64",),
    gateways=("10.10.0.1", "fe80::1"),
    gateway_macs=("52:54:00:00:00:01",),
)
ETH0: Final = Interface("eth0", ipv4=("192.168.1.7/24",), gateways=("192.168.1.1",))


def host(*interfaces: Interface, servers: Sequence[str] = ("10.10.0.53",), search: Sequence[str] = ()) -> Snapshot:
    return Snapshot(interfaces or (WLAN0,), tuple(servers), tuple(search))


def named(text: str, name: str = "office") -> Network:
    """A network with this `match`, read as a policy is."""
    policy = policy_of(f'[[network]]\nname = "{name}"\nuse = ["direct"]\n{text}\n')
    return policy.networks[0]


@pytest.mark.parametrize(
    ("match", "snapshot", "because"),
    [
        pytest.param('match.ssid = ["Corp*"]', host(), "match.ssid Corp* on wlan0", id="ssid"),
        pytest.param('match.ssid = ["Home", "Corp*"]', host(), "match.ssid Corp* on wlan0", id="one-value-is-enough"),
        pytest.param('match.ssid = ["corp*"]', host(), None, id="ssid-case"),
        pytest.param('match.ssid = ["*"]', host(ETH0), None, id="no-ssid-is-not-any-ssid"),
        pytest.param(
            'match.ssid = ["Hotel [5G]"]',
            host(msgspec.structs.replace(WLAN0, ssid="Hotel [5G]")),
            "match.ssid Hotel [5G] on wlan0",
            id="ssid-with-brackets",
        ),
        pytest.param('match.gateway = ["10.10.0.1"]', host(), "match.gateway 10.10.0.1 on wlan0", id="gateway"),
        pytest.param('match.gateway = ["10.10.0.2"]', host(), None, id="another-gateway"),
        pytest.param('match.gateway = ["FE80:0::1"]', host(), "match.gateway fe80::1 on wlan0", id="gateway-ipv6"),
        pytest.param(
            'match.gateway = ["fe80::1%wlan0"]', host(), "match.gateway fe80::1%wlan0 on wlan0", id="gateway-with-scope"
        ),
        pytest.param(
            'match.gateway_mac = ["52-54-00-00-00-01"]',
            host(),
            "match.gateway_mac 52:54:00:00:00:01 on wlan0",
            id="gateway-mac",
        ),
        pytest.param('match.gateway_mac = ["52:54:00:00:00:02"]', host(), None, id="another-box"),
        pytest.param('match.address = ["10.0.0.0/8"]', host(), "match.address 10.0.0.0/8 on wlan0", id="address"),
        pytest.param(
            'match.address = ["10.10.0.7"]', host(), "match.address 10.10.0.7/32 on wlan0", id="address-alone"
        ),
        pytest.param('match.address = ["10.10.1.0/24"]', host(), None, id="address-outside-though-networks-overlap"),
        pytest.param('match.address = ["0.0.0.0/0"]', host(), "match.address 0.0.0.0/0 on wlan0", id="any-ipv4"),
        pytest.param(
            'match.address = ["2001:db8:1::/48"]', host(), "match.address 2001:db8:1::/48 on wlan0", id="address-ipv6"
        ),
        pytest.param(
            'match.address = ["2001:db8:1:2:8000::/65"]',
            host(),
            "match.address 2001:db8:1:2:8000::/65 on wlan0",
            id="within-the-64",
        ),
        pytest.param('match.address = ["2001:db8:1:3::/64"]', host(), None, id="another-64"),
        pytest.param('match.address = ["::/0"]', host(ETH0), None, id="no-ipv6"),
        pytest.param('match.interface = ["wl*"]', host(), "match.interface wl* on wlan0", id="interface"),
        pytest.param('match.interface = ["eth?"]', host(), None, id="another-interface"),
        pytest.param(
            'match.interface = ["wlan0"]', host(msgspec.structs.replace(WLAN0, has_carrier=False)), None, id="offline"
        ),
        pytest.param(
            'match.ssid = ["Corp*"]\nmatch.gateway = ["10.10.0.1"]',
            host(ETH0, WLAN0),
            "match.ssid Corp* and match.gateway 10.10.0.1 on wlan0",
            id="two-keys-on-one-interface",
        ),
        pytest.param(
            'match.ssid = ["Corp*"]\nmatch.gateway = ["192.168.1.1"]', host(ETH0, WLAN0), None, id="on-two-interfaces"
        ),
        pytest.param(
            'match.dns_search = ["*.Corp.Example."]',
            host(search=["x.test", "eu.corp.EXAMPLE"]),
            "match.dns_search *.Corp.Example.",
            id="dns-search-in-any-case",
        ),
        pytest.param('match.dns_search = ["*.corp.example"]', host(search=["corp.example"]), None, id="not-the-parent"),
        pytest.param('match.dns_server = ["10.10.0.53"]', host(), "match.dns_server 10.10.0.53", id="dns-server"),
        pytest.param(
            'match.dns_server = ["fe80::53%wlan0"]',
            host(servers=["fe80::53"]),
            "match.dns_server fe80::53%wlan0",
            id="dns-server-with-scope",
        ),
        pytest.param('match.dns_server = ["10.10.0.54"]', host(), None, id="another-dns-server"),
        pytest.param(
            'match.interface = ["wlan0"]\nmatch.dns_server = ["10.10.0.53"]\nmatch.dns_search = ["corp.example"]',
            host(search=["corp.example"]),
            "match.interface wlan0 on wlan0; match.dns_search corp.example; match.dns_server 10.10.0.53",
            id="interface-and-host",
        ),
        pytest.param(
            'match.interface = ["wlan0"]\nmatch.dns_server = ["10.10.0.54"]', host(), None, id="interface-but-not-host"
        ),
        pytest.param(
            "match.ssid = []", host(), "it has no match, so it fits everywhere", id="an-empty-list-is-as-if-absent"
        ),
        pytest.param("", host(), "it has no match, so it fits everywhere", id="no-match"),
    ],
)
def test_a_network_is_recognised_by_its_match(match: str, snapshot: Snapshot, because: str | None) -> None:
    office = named(match)

    expected = (
        Recognised(ELSEWHERE, "the policy's one network does not match")
        if because is None
        else Recognised(office, because)
    )
    assert recognise([office], snapshot) == expected
    assert (why_not(office, snapshot) is None) == (because is not None)


def test_the_first_that_matches_is_the_one() -> None:
    other, office, anywhere = (
        named('match.ssid = ["Home"]', "home"),
        named('match.gateway = ["10.10.0.1"]'),
        named("", "x"),
    )

    assert recognise([other, office, anywhere], host()).network == office
    assert recognise([anywhere, office], host()).network == anywhere


def test_a_policy_without_networks_is_elsewhere() -> None:
    assert recognise([], host()).network == ELSEWHERE


@pytest.mark.parametrize(
    ("match", "snapshot", "why"),
    [
        pytest.param(
            'match.gateway = ["192.168.1.1"]',
            host(),
            "match.gateway 192.168.1.1, but wlan0 has 10.10.0.1, fe80::1",
            id="what-is-seen-instead",
        ),
        pytest.param(
            'match.ssid = ["Corp*"]\nmatch.gateway = ["192.168.1.1"]',
            host(ETH0, WLAN0),
            "match.ssid Corp*, but eth0 has none",
            id="the-interface-that-comes-closest",
        ),
        pytest.param(
            'match.interface = ["wlan0"]',
            host(msgspec.structs.replace(WLAN0, has_carrier=False)),
            "no interface is online",
            id="offline",
        ),
        pytest.param(
            'match.dns_search = ["a.test", "b.test", "c.test", "d.test", "e.test"]',
            host(search=["x.test"]),
            "match.dns_search a.test or b.test or c.test or 2 more, but the host has x.test",
            id="many-values",
        ),
        pytest.param(
            'match.ssid = ["Corp"]',
            host(msgspec.structs.replace(WLAN0, ssid="\x1b[2J")),
            "match.ssid Corp, but wlan0 has \\x1b[2J",
            id="an-ssid-cannot-write-to-the-terminal",
        ),
    ],
)
def test_why_a_network_does_not_match(match: str, snapshot: Snapshot, why: str) -> None:
    assert why_not(named(match), snapshot) == f"network office: {why}"


@given(st.text("ab.", max_size=8), st.text("ab.*?", max_size=6))
def test_patterns_mean_what_they_mean_in_a_shell(name: str, pattern: str) -> None:
    assert is_like(name, pattern) == fnmatch.fnmatchcase(name, pattern)


@given(st.text(max_size=8), st.text(max_size=8))
def test_a_pattern_without_wildcards_means_itself(name: str, other: str) -> None:
    if not {"*", "?"} & set(other):
        assert is_like(name, other) == (name == other)


def test_an_empty_match_holds_offline() -> None:
    assert (
        recognise([Network("any", ("direct",), Match())], Snapshot()).because
        == "it has no match, so it fits everywhere"
    )

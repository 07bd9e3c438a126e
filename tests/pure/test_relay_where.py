"""Where a container may not go, in every spelling of it."""

from __future__ import annotations

import ipaddress

import pytest

from agent.relay.where import Near, forbidden, is_localhost, literal

OWN = frozenset({"192.168.1.7", "172.17.0.1", "2001:db8::7"})


GUESTS = frozenset({"172.17.0.2", "10.0.3.9", "fd00:17::2"})
NEAR = Near(OWN.__contains__, GUESTS.__contains__)


def _judged(address: str) -> str:
    return forbidden(ipaddress.ip_address(address), NEAR)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "is loopback"),
        ("127.255.0.9", "is loopback"),
        ("::1", "is loopback"),
        ("::ffff:127.0.0.1", "is loopback"),
        ("::127.0.0.1", "is loopback"),
        ("::ffff:0:127.0.0.1", "is loopback"),
        ("64:ff9b::127.0.0.1", "is loopback"),
        ("64:ff9b::169.254.169.254", "is link-local"),
        ("2002:7f00:1::", "is loopback"),
        ("2002:a9fe:a9fe::1", "is link-local"),
        ("64:ff9b:1:7f00:0:100::", "is loopback"),
        ("64:ff9b:1:a9:fe:a9fe::", "is link-local"),
        ("64:ff9b:1:0:a9:fea9:fe00:0", "is link-local"),
        ("64:ff9b:1::169.254.169.254", "is link-local"),
        ("2001:0:a9fe:a9fe::1", "is link-local"),
        ("2001:0:5db8:d822:0:0:80ff:fffe", "is loopback"),
        ("2001:db8::5efe:127.0.0.1", "is loopback"),
        ("2001:db8::200:5efe:169.254.169.254", "is link-local"),
        ("0.0.0.0", "means this host"),
        ("0.1.2.3", "means this host"),
        ("::", "means this host"),
        ("169.254.169.254", "is link-local"),
        ("fe80::1", "is link-local"),
        ("fe80::1%2", "is link-local"),
        ("fe80::a9fe:a9fe", "is link-local"),
        ("::ffff:169.254.169.254", "is link-local"),
        ("169.254.170.2", "is link-local"),
        ("100.100.100.200", "is a cloud's own service for this host"),
        ("::ffff:100.100.100.200", "is a cloud's own service for this host"),
        ("64:ff9b::100.100.100.200", "is a cloud's own service for this host"),
        ("192.0.0.192", "is a cloud's own service for this host"),
        ("2002:c000:c0::", "is a cloud's own service for this host"),
        ("168.63.129.16", "is a cloud's own service for this host"),
        ("fd00:ec2::254", "is a cloud's own service for this host"),
        ("fd00:ec2::23", "is a cloud's own service for this host"),
        ("fd20:ce::254", "is a cloud's own service for this host"),
        ("fd00:c1::a9fe:a9fe", "is a cloud's own service for this host"),
        ("fd00:100::100:200", "is a cloud's own service for this host"),
        ("fd00:a9fe:a9fe::1", "is a cloud's own service for this host"),
        ("fd00:42::42", "is a cloud's own service for this host"),
        ("224.0.0.1", "is not a single host"),
        ("ff02::1", "is not a single host"),
        ("255.255.255.255", "is not a single host"),
        ("192.168.1.7", "is this host"),
        ("172.17.0.1", "is this host"),
        ("::ffff:192.168.1.7", "is this host"),
        ("64:ff9b::192.168.1.7", "is this host"),
        ("2001:db8::7", "is this host"),
        ("2001:db8::7%2", "is this host"),
        ("172.17.0.2", "is a container or guest of this host"),
        ("::ffff:172.17.0.2", "is a container or guest of this host"),
        ("64:ff9b::10.0.3.9", "is a container or guest of this host"),
        ("fd00:17::2", "is a container or guest of this host"),
    ],
)
def test_forbidden(address: str, why: str) -> None:
    assert _judged(address) == why


@pytest.mark.parametrize(
    "address",
    ["192.168.1.8", "10.0.0.1", "172.17.0.3", "203.0.113.9", "198.18.0.7", "2001:db8::8", "fd00::1", "64:ff9b::8.8.8.8", "2002:808:808::1",
     "100.100.100.201", "192.0.0.193", "fd00:ec1::254", "64:ff9b:1::8.8.8.8", "2001:db8::5efe:8.8.8.8", "2001:0:5db8:d822:0:0:f7f7:f7f7"],
)  # fmt: skip
def test_allowed(address: str) -> None:
    assert _judged(address) == ""


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1.", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1"],
)
def test_every_spelling_of_an_address_that_a_resolver_takes_is_one(host: str) -> None:
    assert literal(host) == ipaddress.ip_address("127.0.0.1")


def test_an_address_in_brackets_is_one() -> None:
    assert literal("[::1]") == literal("::1") == ipaddress.ip_address("::1")


@pytest.mark.parametrize("host", ["", "registry.test", "127.0.0.1.nip.test", "1.2.3.4.5", "0x7g", "deadbeef", "ä.test"])
def test_a_name_is_none(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "x.localhost", "a.b.localhost.."])
def test_localhost_by_its_name(host: str) -> None:
    assert is_localhost(host)


@pytest.mark.parametrize("host", ["localhost.test", "mylocalhost", "127.0.0.1", ""])
def test_what_only_looks_like_localhost(host: str) -> None:
    assert not is_localhost(host)

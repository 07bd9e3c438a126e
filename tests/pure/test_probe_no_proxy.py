"""NO_PROXY by Go's rules (FACTS 9): golang.org/x/net/http/httpproxy and its own table of cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probe.no_proxy import excludes


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        pytest.param("foo.test", ["foo.test:443", "a.foo.test:443", "a.b.foo.test:80"], ["afoo.test:443"], id="host"),
        pytest.param(".foo.test", ["a.foo.test:443", "a.b.foo.test:80"], ["foo.test:443"], id="dot-host"),
        pytest.param("*.foo.test", ["a.foo.test:443"], ["foo.test:443", "afoo.test:443"], id="star-dot-host"),
        pytest.param("foo.test:5000", ["foo.test:5000", "a.foo.test:5000"], ["foo.test:443"], id="host-and-port"),
        pytest.param(".foo.test:80", ["a.foo.test:80"], ["a.foo.test:443", "foo.test:80"], id="domain-and-port"),
        pytest.param("*", ["foo.test:1", "10.0.0.1:1", "2001:db8::1:443"], [], id="star"),
        pytest.param("10.0.0.0/8", ["10.1.2.3:443"], ["11.0.0.1:443", "ten.test:443"], id="cidr"),
        pytest.param("2001:db8::/32", ["2001:db8::7:443"], ["2001:db9::7:443"], id="cidr-of-ipv6"),
        pytest.param("10.1.2.3", ["10.1.2.3:443"], ["10.1.2.4:443"], id="address"),
        pytest.param("10.1.2.3:80", ["10.1.2.3:80"], ["10.1.2.3:443"], id="address-and-port"),
        pytest.param("2001:db8::1", ["2001:db8:0::1:443"], ["2001:db8::2:443"], id="ipv6"),
        pytest.param("[2001:db8::1]:80", ["2001:db8::1:80"], ["2001:db8::1:443"], id="ipv6-and-port"),
        pytest.param("10.1.2.3", ["::ffff:10.1.2.3:443"], [], id="ipv4-within-ipv6"),
        pytest.param(" Foo.TEST ", ["foo.test:443", "FOO.test:443"], [], id="spaces-and-case"),
        pytest.param("192.168.*", [], ["192.168.0.1:443", "192.168.a:443"], id="pattern-is-not-understood"),
        pytest.param("a.test;b.test", [], ["a.test:443", "b.test:443"], id="semicolon-is-not-understood"),
        pytest.param("*foo.test", [], ["afoo.test:443", "foo.test:443"], id="star-without-dot"),
        pytest.param("*:80", [], ["foo.test:80"], id="star-and-port"),
        pytest.param("10.0.0.0/255.0.0.0", [], ["10.1.2.3:443"], id="netmask-is-not-understood"),
        pytest.param("10.0.0.0/33", [], ["10.1.2.3:443"], id="no-such-prefix"),
        pytest.param("[2001:db8::1]", [], ["2001:db8::1:443"], id="brackets-without-port"),
        pytest.param(":80", [], ["foo.test:80"], id="port-alone"),
        pytest.param("", [], ["foo.test:443"], id="empty"),
    ],
)
def test_what_an_entry_excludes(entry: str, inside: list[str], outside: list[str]) -> None:
    def excluded(end: str) -> bool:
        host, _, port = end.rpartition(":")
        return excludes([entry], host, int(port))

    assert [end for end in inside if not excluded(end)] == []
    assert [end for end in outside if excluded(end)] == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_always_direct(host: str) -> None:
    assert excludes([], host, 443)


@pytest.mark.parametrize("host", ["localhost.test", "registry.test", "10.0.0.1", "128.0.0.1"])
def test_nothing_else_is_direct_by_itself(host: str) -> None:
    assert not excludes([], host, 443)


@given(st.text(max_size=20), st.text(alphabet="abc.*:[]/0123456789-", max_size=20))
def test_no_entry_is_an_error(host: str, entry: str) -> None:
    assert excludes([entry], host, 443) in (True, False)

"""What a resolv.conf says, by resolv.conf(5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.see.resolver import Resolver, parse


@pytest.mark.parametrize(
    ("text", "means"),
    [
        pytest.param("", Resolver(), id="empty"),
        pytest.param("nameserver 10.10.0.53\n", Resolver(("10.10.0.53",)), id="one-server"),
        pytest.param("nameserver 10.10.0.53", Resolver(("10.10.0.53",)), id="no-newline-at-the-end"),
        pytest.param(
            "nameserver 10.0.0.2\nnameserver 10.0.0.1\n", Resolver(("10.0.0.2", "10.0.0.1")), id="as-they-are-tried"
        ),
        pytest.param("nameserver 10.0.0.1\nnameserver 10.0.0.1\n", Resolver(("10.0.0.1",)), id="named-twice"),
        pytest.param("nameserver\t2001:DB8:0::53\n", Resolver(("2001:db8::53",)), id="ipv6-in-its-usual-spelling"),
        pytest.param("nameserver fe80::1%wlan0\n", Resolver(("fe80::1",)), id="without-its-scope"),
        pytest.param("nameserver fe80::1%2\n", Resolver(("fe80::1",)), id="without-its-scope-by-number"),
        pytest.param("nameserver 10.0.0.1 # office\n", Resolver(("10.0.0.1",)), id="a-word-more"),
        pytest.param("nameserver proxy.example\nnameserver\n", Resolver(), id="no-address"),
        pytest.param("# nameserver 10.0.0.1\n;nameserver 10.0.0.1\n", Resolver(), id="comments"),
        pytest.param("  nameserver 10.0.0.1\n", Resolver(("10.0.0.1",)), id="indented"),
        pytest.param("nameserver 10.0.0.1\r\n", Resolver(("10.0.0.1",)), id="windows-line-ends"),
        pytest.param(
            "search corp.example Eu.Corp.Example.\n", Resolver((), ("corp.example", "eu.corp.example")), id="search"
        ),
        pytest.param("domain corp.example\n", Resolver((), ("corp.example",)), id="domain"),
        pytest.param(
            "domain a.test\nsearch b.test c.test\n", Resolver((), ("b.test", "c.test")), id="the-last-is-search"
        ),
        pytest.param("search b.test c.test\ndomain a.test\n", Resolver((), ("a.test",)), id="the-last-is-domain"),
        pytest.param("search a.test\nsearch b.test\n", Resolver((), ("b.test",)), id="the-last-search"),
        pytest.param("domain a.test b.test\n", Resolver((), ("a.test",)), id="domain-is-one"),
        pytest.param("search .\n", Resolver(), id="the-root-is-none"),
        pytest.param("search .lan lan .\n", Resolver((), ("lan",)), id="a-dot-before-says-nothing"),
        pytest.param(
            "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)),
            Resolver(("192.0.2.1", "192.0.2.2", "192.0.2.3")),
            id="nobody-asks-a-fourth",
        ),
        pytest.param("options edns0 trust-ad\nsortlist 10.0.0.0\nfoo bar\n", Resolver(), id="other-lines"),
    ],
)
def test_resolv_conf(text: str, means: Resolver) -> None:
    assert parse(text) == means


@pytest.mark.parametrize(
    ("servers", "is_stub"),
    [
        pytest.param(("127.0.0.53",), True, id="stub"),
        pytest.param(("127.0.0.53", "10.0.0.1"), False, id="stub-and-more"),
        pytest.param(("127.0.0.1",), False, id="a-resolver-of-ones-own"),
        pytest.param((), False, id="none"),
    ],
)
def test_stub(servers: tuple[str, ...], is_stub: bool) -> None:
    assert Resolver(servers).is_stub == is_stub


@given(st.text())
def test_any_text_means_something(text: str) -> None:
    assert parse(text) == parse(text + "\n")

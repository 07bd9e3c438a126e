"""Which ways a connection may take: in the orders' order, past what is excluded, and never the same twice."""

from __future__ import annotations

from typing import Final

import pytest

from agent.relay.ways import Way, Ways
from agent.values.relay import Orders, RelayUpstream
from agent.values.settings import ProxyUrl, Scheme

CORP: Final = ProxyUrl(Scheme.HTTP, "proxy.test", 3128)
BACKUP: Final = ProxyUrl(Scheme.SOCKS5, "backup.test", 1080)
DIRECT: Final = RelayUpstream("direct")
ORDERS: Final = Orders(
    1,
    (RelayUpstream("corp", CORP, CORP, no_proxy=(".corp.test",)), RelayUpstream("backup", BACKUP, BACKUP), DIRECT),
    no_proxy=("10.0.0.0/8", "*.lan", "registry.test:5000"),
)


@pytest.mark.parametrize(
    ("host", "port", "ways"),
    [
        pytest.param("hub.test", 443, (Way("corp", CORP), Way("backup", BACKUP)), id="the-first-two"),
        pytest.param("10.1.2.3", 443, (Way("direct"),), id="excluded-network"),
        pytest.param("nas.lan", 443, (Way("direct"),), id="excluded-domain"),
        pytest.param("registry.test", 5000, (Way("direct"),), id="excluded-port"),
        pytest.param("registry.test", 443, (Way("corp", CORP), Way("backup", BACKUP)), id="other-port"),
        pytest.param("localhost", 80, (Way("direct"),), id="localhost-always"),
        pytest.param("git.corp.test", 443, (Way("corp"), Way("backup", BACKUP)), id="excluded-by-the-first-alone"),
    ],
)
def test_ways(host: str, port: int, ways: tuple[Way, ...]) -> None:
    asked = Ways(ORDERS)

    assert asked.to(host, port, is_tunnel=True) == ways
    assert asked.to(host, port, is_tunnel=True) == ways


def test_the_kind_of_request_chooses_the_proxy_and_what_has_none_goes_directly() -> None:
    ways = Ways(Orders(1, (RelayUpstream("only-https", None, CORP), DIRECT)))

    assert ways.to("hub.test", 443, is_tunnel=True) == (Way("only-https", CORP), Way("direct"))
    assert ways.to("hub.test", 80, is_tunnel=False) == (Way("only-https"),)


def test_the_same_proxy_under_two_names_is_tried_once() -> None:
    ways = Ways(Orders(1, (RelayUpstream("one", CORP, CORP), RelayUpstream("two", CORP, CORP), DIRECT)))

    assert [way.upstream for way in ways.to("hub.test", 443, is_tunnel=True)] == ["one", "direct"]


def test_without_upstreams_there_is_no_way() -> None:
    assert Ways(Orders(1)).to("hub.test", 443, is_tunnel=True) == ()


def test_who_asks_for_ever_new_names_fills_nothing() -> None:
    ways = Ways(ORDERS)
    for number in range(5000):
        ways.to(f"host{number}.test", 443, is_tunnel=True)

    assert len(ways._known) <= 1024

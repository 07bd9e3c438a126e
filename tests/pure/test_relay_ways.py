"""Which ways a connection may take: in the orders' order, past what is excluded, and never the same twice."""

from __future__ import annotations

import functools
from typing import Final

import msgspec
import pytest

from agent.relay.ways import Way, Ways
from agent.values.pac import read_answer
from agent.values.relay import Orders, RelayPac, RelayUpstream
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme

CORP: Final = ProxyUrl(Scheme.HTTP, "proxy.test", 3128)
BACKUP: Final = ProxyUrl(Scheme.SOCKS5, "backup.test", 1080)
DIRECT: Final = RelayUpstream("direct")
ORDERS: Final = Orders(
    1,
    (RelayUpstream("corp", CORP, CORP, no_proxy=(".corp.test",)), RelayUpstream("backup", BACKUP, BACKUP), DIRECT),
    no_proxy=("10.0.0.0/8", "*.lan", "registry.test:5000"),
)


EXCLUDED: Final = Way("direct", is_excluded=True)


@pytest.mark.parametrize(
    ("host", "port", "ways"),
    [
        pytest.param("hub.test", 443, (Way("corp", CORP), Way("backup", BACKUP)), id="the-first-two"),
        pytest.param("10.1.2.3", 443, (EXCLUDED,), id="excluded-network"),
        pytest.param("nas.lan", 443, (EXCLUDED,), id="excluded-domain"),
        pytest.param("registry.test", 5000, (EXCLUDED,), id="excluded-port"),
        pytest.param("registry.test", 443, (Way("corp", CORP), Way("backup", BACKUP)), id="other-port"),
        pytest.param("localhost", 80, (EXCLUDED,), id="localhost-always"),
        pytest.param("git.corp.test", 443, (Way("corp"), Way("backup", BACKUP)), id="excluded-by-the-first-alone"),
    ],
)
def test_ways(host: str, port: int, ways: tuple[Way, ...]) -> None:
    asked = Ways(ORDERS)

    assert asked.to(host, port, is_tunnel=True) == ways
    assert asked.to(host, port, is_tunnel=True) == ways


def test_what_is_excluded_is_counted_apart_from_the_upstream_that_is_called_direct() -> None:
    assert (EXCLUDED.upstream, EXCLUDED.counted_as) == ("direct", "direct (no_proxy)")

    (way,) = Ways(Orders(1, (DIRECT,), no_proxy=("*.lan",))).to("nas.lan", 443, is_tunnel=True)
    assert way.counted_as == "direct"  # it would go so anyway


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


A, B, C = (ProxyUrl(Scheme.HTTP, host, 8080) for host in ("a.test", "b.test", "c.test"))
B_WITH_PASSWORD: Final = ProxyUrl(Scheme.HTTP, "b.test", 8080, Credentials("alice", Secret("hunter2")))
KNOWN_A = RelayUpstream("corp → a", A, A, named_by="corp", works=False)
WAY_A: Final = Way("corp → a", A, is_unknown=True)
KNOWN_B: Final = RelayUpstream("corp → b", B_WITH_PASSWORD, B_WITH_PASSWORD)
BACKUP_AT_C: Final = RelayUpstream("backup", msgspec.structs.replace(C, credentials=B_WITH_PASSWORD.credentials), C)
PAC: Final = RelayPac("corp", "", no_proxy=("own.test",), settled=("registry.test:443",), known=(KNOWN_A, KNOWN_B))
WAY_B: Final = Way("corp → b", B_WITH_PASSWORD)
WAY_C: Final = Way("corp", C, is_unknown=True)
LAST: Final = msgspec.structs.replace(WAY_B, is_last_resort=True)


@pytest.mark.parametrize(
    ("answer", "ways"),
    [
        pytest.param("PROXY a.test:8080; PROXY b.test:8080", (WAY_B, WAY_A), id="from-the-chosen-on"),
        pytest.param("PROXY a.test:8080; PROXY b.test:8080; DIRECT", (WAY_B, Way("direct")), id="and-what-is-behind-it"),
        # Nobody knows that these fail: the agent has asked about registries alone.
        pytest.param("DIRECT; PROXY b.test:8080", (Way("direct"), WAY_B), id="directly-first"),
        pytest.param("PROXY c.test:8080; PROXY b.test:8080", (WAY_C, WAY_B), id="by-one-of-its-own-first"),
        pytest.param("PROXY a.test:8080", (WAY_A, LAST), id="what-fails-alone"),
        pytest.param("PROXY a.test:8080; PROXY c.test:8080", (WAY_A, WAY_C, LAST), id="two-that-are-not-the-chosen"),
        pytest.param("PROXY a.test:8080; DIRECT", (WAY_A, Way("direct")), id="the-chosen-is-not-among-them"),
        pytest.param("DIRECT", (Way("direct"),), id="directly"),
        # The policy has an upstream of its own there, with a password: a PAC does not dispose of that.
        pytest.param("PROXY c.test:8080", (WAY_C, LAST), id="unknown"),
    ],
)  # fmt: skip
def test_ways_that_a_pac_names(answer: str, ways: tuple[Way, ...]) -> None:
    asked = Ways(Orders(1, (KNOWN_B, BACKUP_AT_C, DIRECT), pac=PAC))

    assert asked.by(read_answer(answer).ways) == ways


def test_who_is_excepted_is_not_for_the_pac() -> None:
    asked = Ways(Orders(1, (KNOWN_B,), no_proxy=("nas.lan",), pac=PAC))

    assert [asked.is_for_the_pac(host, 443) for host in ("hub.test", "nas.lan", "git.own.test")] == [True, False, False]
    assert [asked.is_for_the_pac("Registry.test.", port) for port in (443, 5000)] == [False, True]
    assert not Ways(Orders(1, (KNOWN_B,))).is_for_the_pac("hub.test", 443)


def test_a_407_that_may_be_a_servers_is_held_against_who_asked_and_against_no_tunnel() -> None:
    """Whoever has a web server could say in a proxy's name that its password is wrong, for everybody."""
    named = ProxyUrl(Scheme.HTTP, "b.test", 3128, Credentials("alice", Secret("another")))
    way, before = Way("corp", named, is_unknown=True), Ways(ORDERS)

    def refused(ways: Ways) -> list[bool]:
        return [ways.is_refused(way, functools.partial(str, who)) for who in ("port 7", "port 8", "")]

    before.note_refused(way, "port 7")
    ways = Ways(ORDERS, before)
    assert refused(ways) == [True, False, False]

    ways.note_refused(way)
    assert refused(ways) == [True, True, True]
    assert not ways.is_refused(msgspec.structs.replace(way, is_unknown=False), lambda: "port 7")


def test_what_is_refused_of_a_proxy_that_the_agent_has_seen_work_is_no_news_of_its_password() -> None:
    """Not even where other orders name it as one that only a PAC does."""
    named = ProxyUrl(Scheme.HTTP, "b.test", 3128, Credentials("alice", Secret("another")))
    ways = Ways(ORDERS)

    ways.note_refused(Way("corp", named))

    assert not Ways(ORDERS, ways).is_refused(Way("corp", named, is_unknown=True))


def test_who_has_ever_new_passwords_refused_fills_nothing() -> None:
    ways = Ways(ORDERS)
    for number in range(5000):
        named = ProxyUrl(Scheme.HTTP, f"proxy{number}.test", 3128, Credentials("alice", Secret("another")))
        for source in ("", "port 7"):
            ways.note_refused(Way("corp", named, is_unknown=True), source)

    assert len(ways._refused) <= 1024
    assert len(ways._refused_to) <= 1024

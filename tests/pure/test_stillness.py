"""How long the network must have stood still before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from agent.decide.choose import Choice, Ending
from agent.decide.recognise import recognise
from agent.decide.stillness import PROVED_STILL_S, STILL_S, may_be_answered, only_more_came, still_s
from agent.values.policy import Network
from agent.values.snapshot import Interface, Snapshot, Way
from agent.values.verdict import Outcome, Verdict
from tests.policies import policy_of

WLAN0 = Interface("wlan0", ssid="CorpNet", ipv4=("10.10.0.7/16",), gateways=("10.10.0.1",))
ETH0 = Interface("eth0", ipv4=("192.168.1.7/24",), gateways=("192.168.1.1",))
AT_WORK = 'match.gateway = ["10.10.0.1"]'


def changed(interface: Interface, **facts: object) -> Interface:
    return msgspec.structs.replace(interface, **facts)


def networks(*matches: str) -> Sequence[Network]:
    text = "".join(f'[[network]]\nuse = ["proxy", "direct"]\n{match}\n' for match in matches)
    policy = policy_of(f'[upstream.proxy]\nurl = "http://proxy:3128"\n{text}')
    return policy.networks


def needed(
    interfaces: Sequence[Interface],
    *matches: str,
    chosen: str = "proxy",
    ending: Ending = Ending.CHOSEN,
    search: Sequence[str] = ("home.example",),
    **outcomes: str,
) -> float:
    snapshot = Snapshot(tuple(interfaces), ("10.10.0.53",), tuple(search))
    verdicts = {name: Verdict(Outcome(word)) for name, word in (outcomes or {"proxy": "ok"}).items()}
    places = networks(*matches)
    return still_s(places, snapshot, recognise(places, snapshot), Choice(ending, "", chosen), verdicts=verdicts)


@pytest.mark.parametrize("match", [AT_WORK, 'match.ssid = ["Corp*"]', 'match.address = ["10.10.0.0/16"]'])
def test_a_network_that_is_recognised_and_answers_is_whole(match: str) -> None:
    assert needed([WLAN0], match) == PROVED_STILL_S
    assert needed([WLAN0], match, "") == PROVED_STILL_S  # what comes behind it does not matter


@pytest.mark.parametrize(
    "still",
    [
        pytest.param(needed([WLAN0], ""), id="everywhere-is-no-place"),
        pytest.param(needed([ETH0], AT_WORK), id="elsewhere-is-none"),
        pytest.param(needed([WLAN0], AT_WORK, chosen="direct", proxy="dns", direct="ok"), id="not-the-first"),
        pytest.param(needed([WLAN0], AT_WORK, proxy="timeout"), id="kept-though-it-fails"),
        pytest.param(needed([WLAN0], AT_WORK, direct="ok"), id="not-asked-here"),
        pytest.param(needed([WLAN0], AT_WORK, ending=Ending.WAITING), id="nothing-chosen"),
    ],
)
def test_all_else_stands_for_longer(still: float) -> None:
    assert still == STILL_S


@pytest.mark.parametrize(
    ("interfaces", "earlier", "still"),
    [
        pytest.param([WLAN0], 'match.gateway = ["10.20.0.1"]', PROVED_STILL_S, id="another-gateway-is-there"),
        pytest.param([WLAN0], 'match.ssid = ["Home"]', PROVED_STILL_S, id="another-ssid-is-there"),
        pytest.param([changed(WLAN0, ssid=None)], 'match.ssid = ["Home"]', PROVED_STILL_S, id="no-wifi"),
        pytest.param([WLAN0], 'match.interface = ["eth*"]', PROVED_STILL_S, id="another-interface"),
        pytest.param([WLAN0], 'match.address = ["10.20.0.0/16"]', PROVED_STILL_S, id="another-address-is-there"),
        pytest.param([WLAN0], 'match.address = ["2001:db8::/32"]', STILL_S, id="no-ipv6-yet"),
        pytest.param([WLAN0], 'match.gateway_mac = ["52:54:00:00:00:01"]', STILL_S, id="no-mac-yet"),
        pytest.param(
            [changed(WLAN0, gateway_macs=("52:54:00:00:00:02",))],
            'match.gateway_mac = ["52:54:00:00:00:01"]',
            PROVED_STILL_S,
            id="another-mac-is-there",
        ),
        pytest.param([WLAN0], 'match.dns_search = ["corp.example"]', STILL_S, id="dns-may-still-come"),
        pytest.param([WLAN0], 'match.dns_server = ["10.10.0.54"]', STILL_S, id="another-server-may-still-come"),
        pytest.param(
            [WLAN0],
            'match.gateway = ["10.20.0.1"]\nmatch.dns_search = ["corp.example"]',
            PROVED_STILL_S,
            id="dns-that-would-not-be-enough",
        ),
        pytest.param(
            [WLAN0],
            'match.gateway = ["10.10.0.1"]\nmatch.dns_search = ["corp.example"]',
            STILL_S,
            id="dns-that-would-be-enough",
        ),
        pytest.param(
            [changed(ETH0, ipv4=(), gateways=()), WLAN0],
            'match.gateway = ["192.168.1.1"]',
            STILL_S,
            id="a-cable-that-was-just-plugged-in",
        ),
        pytest.param(
            [changed(ETH0, gateways=()), WLAN0],
            'match.gateway = ["192.168.1.1"]',
            STILL_S,
            id="an-address-without-its-route",
        ),
        pytest.param(
            [changed(ETH0, has_carrier=False, ipv4=(), gateways=()), WLAN0],
            'match.gateway = ["192.168.1.1"]',
            PROVED_STILL_S,
            id="no-cable",
        ),
        pytest.param(
            [changed(ETH0, ipv4=(), gateways=()), WLAN0],
            'match.gateway = ["192.168.1.1"]\nmatch.interface = ["en*"]',
            PROVED_STILL_S,
            id="a-cable-that-cannot-be-it",
        ),
    ],
)
def test_what_an_earlier_network_asks_for_may_still_come(
    interfaces: Sequence[Interface], earlier: str, still: float
) -> None:
    assert needed(interfaces, earlier, AT_WORK) == still


ARRIVED = Snapshot((WLAN0,), ("127.0.0.1",))  # whom libc asks where no server is named


def stands(now: Snapshot, *matches: str, chosen: str = "proxy", before: Snapshot = ARRIVED, **outcomes: str) -> bool:
    places = networks(*matches)
    return only_more_came(
        places,
        before,
        now,
        recognised=recognise(places, before),
        choice=Choice(Ending.CHOSEN, "", chosen),
        verdicts={name: Verdict(Outcome(word)) for name, word in (outcomes or {"proxy": "ok"}).items()},
    )


def seen(*interfaces: Interface, servers: Sequence[str] = ("10.10.0.53",)) -> Snapshot:
    return Snapshot(interfaces, tuple(servers))


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(seen(WLAN0), id="dns"),
        pytest.param(seen(changed(WLAN0, ipv6_64s=("2001:db8::/64",))), id="another-address"),
    ],
)
def test_what_answered_did_so_without_what_comes_to_the_same_place(now: Snapshot) -> None:
    assert stands(now, AT_WORK)


@pytest.mark.parametrize(
    "is_so",
    [
        pytest.param(stands(seen(WLAN0), ""), id="everywhere-is-no-place"),
        pytest.param(stands(seen(WLAN0), AT_WORK, chosen="direct", proxy="dns", direct="ok"), id="not-the-first"),
        pytest.param(stands(seen(WLAN0, ETH0), AT_WORK), id="another-link"),
        pytest.param(stands(seen(changed(WLAN0, ssid="Guests")), AT_WORK), id="another-ssid"),
        pytest.param(stands(seen(changed(WLAN0, gateways=("10.20.0.1",))), AT_WORK), id="another-gateway"),
        pytest.param(stands(seen(WLAN0), AT_WORK, before=seen(WLAN0, servers=("10.20.0.53",))), id="other-dns"),
        pytest.param(stands(seen(changed(WLAN0, ipv4=("10.10.0.8/16",))), AT_WORK), id="other-addresses"),
        pytest.param(stands(Snapshot(), AT_WORK), id="offline"),
        pytest.param(stands(seen(WLAN0), AT_WORK, before=Snapshot()), id="offline-before"),
        pytest.param(stands(seen(WLAN0), 'match.dns_server = ["10.10.0.53"]', AT_WORK), id="an-earlier-network-holds"),
        pytest.param(stands(seen(WLAN0), 'match.dns_server = ["10.9.9.9"]', AT_WORK), id="an-earlier-one-may-still"),
        pytest.param(
            stands(seen(changed(WLAN0, ipv6_64s=("2001:db8::/64",))), 'match.address = ["2001:db8::/32"]', AT_WORK),
            id="an-earlier-network-holds-by-its-address",
        ),
        pytest.param(
            stands(seen(WLAN0, servers=()), f'{AT_WORK}\nmatch.dns_server = ["10.10.0.53"]', before=seen(WLAN0)),
            id="it-holds-no-more",
        ),
    ],
)
def test_all_else_that_comes_is_looked_at_anew(is_so: bool) -> None:
    assert not is_so


@pytest.mark.parametrize(
    ("now", "may_come"),
    [
        pytest.param(seen(changed(WLAN0, ipv6_64s=("2001:db8::/64",)), ETH0), True, id="more"),
        pytest.param(seen(WLAN0, ETH0, servers=()), True, id="less-dns"),
        pytest.param(seen(WLAN0), True, id="another-link-is-gone"),
        pytest.param(seen(changed(WLAN0, ipv4=("10.20.0.7/16",))), False, id="other-addresses"),
        pytest.param(seen(changed(WLAN0, has_carrier=False)), False, id="no-link"),
        pytest.param(Snapshot(), False, id="offline"),
    ],
)
def test_an_answer_can_come_as_long_as_the_host_has_one_of_its_addresses(now: Snapshot, may_come: bool) -> None:
    assert may_be_answered(seen(WLAN0, ETH0), now) is may_come


@pytest.mark.parametrize(
    ("was", "now", "may_come"),
    [
        pytest.param(Way("wlan0", "10.10.0.1"), Way("wlan0", "10.10.0.1"), True, id="unchanged"),
        pytest.param(Way("wlan0", "10.10.0.1", "10.10.0.7"), Way("wlan0", "10.10.0.1", "10.10.0.9"), True, id="source"),
        pytest.param(None, Way("wlan0", "10.10.0.1"), True, id="comes-behind-the-address"),
        pytest.param(None, None, True, id="none-at-all"),
        pytest.param(Way("wlan0", "10.10.0.1"), Way("wlan0", "10.10.0.2"), False, id="another-gateway"),
        pytest.param(Way("wlan0", "10.10.0.1"), Way("tun0", None), False, id="a-vpn"),
        pytest.param(Way("wlan0", "10.10.0.1"), None, False, id="gone"),
    ],
)
@pytest.mark.parametrize("family", ["way_ipv4", "way_ipv6"])
def test_no_answer_is_waited_for_by_a_way_that_is_gone(
    family: str, was: Way | None, now: Way | None, *, may_come: bool
) -> None:
    before, after = (msgspec.structs.replace(seen(WLAN0), **{family: way}) for way in (was, now))
    assert may_be_answered(before, after) is may_come

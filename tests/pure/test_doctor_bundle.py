"""What `doctor --bundle` writes holds no password, no user, and without --full no place but by the policy's name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.cli.doctor.bundle import Bundle, made, places_in, places_of, users_found
from agent.cli.doctor.entries import Client
from agent.cli.doctor.facts import Facts
from agent.cli.doctor.finding import DoctorShown, Finding, Sign
from agent.cli.doctor.hidden import Hiding
from agent.cli.doctor.homes import Left
from agent.cli.doctor.listener import LocalProxy
from agent.cli.doctor.told import Pause
from agent.values.policy import Address as Ip
from agent.values.policy import Clients, Docker, Mac, Match, Network, Pattern, Policy, Upstream
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme, settings
from agent.values.snapshot import Interface, Snapshot

DOCUMENT = (Path(__file__).parents[2] / "docs/json.md").read_text()
PASSWORD, PROXY_USER, PERSON = "tr0ub4dor", "j.doe", "alice"
SSID, GATEWAY, MAC, OWN, IPV6, DOMAIN = (
    "Café Müller 5G", "10.20.30.1", "52:54:00:aa:bb:cc", "10.20.30.77/24", "2001:db8:5:6::/64", "cafe-mueller.example",
)  # fmt: skip
HERE = Snapshot(
    interfaces=(
        Interface(
            "wlan0", ssid=SSID, ipv4=(OWN,), ipv6_64s=(IPV6,), gateways=(GATEWAY, "fe80::1"), gateway_macs=(MAC,)
        ),
    ),
    dns_search=(DOMAIN,),
)
OFFICE = Upstream(
    "office-proxy",
    http=ProxyUrl(Scheme.HTTP, "127.0.0.1", 3128),
    username=PROXY_USER,
    password=Secret(PASSWORD),
    owner=PERSON,
)
POLICY = Policy(
    docker=Docker(restart_command=("/sbin/restart", f"--token={PASSWORD}")),
    clients=Clients(users=(PERSON,)),
    upstreams={"office-proxy": OFFICE},
    networks=(
        Network(
            "office",
            ("office-proxy",),
            Match(ssid=(Pattern("OldNet*"),), gateway=(Ip("192.168.77.1"),), gateway_mac=(Mac(MAC),)),
        ),
    ),
)
RUNS_WITH = settings(ProxyUrl(Scheme.HTTP, "proxy.test", 3128, Credentials(PROXY_USER, Secret(PASSWORD))))
WHERE = f"network office: ssid is {SSID}, not OldNet; gateway {GATEWAY} ({MAC}), fe80::1%wlan0, {DOMAIN}"
TOLD = f"http://{PROXY_USER}:{PASSWORD}@proxy.test:3128 of /home/{PERSON}/.docker/config.json by {PERSON}"
FOUND = Finding(code=Sign.CONDITION, is_broken=True, where=f"{GATEWAY}:3128", what=TOLD, why=WHERE)
RECORD: dict[str, Any] = {
    "event": "network-changed",
    "by": {"claimed": PERSON},
    "facts": {
        "network": "office",
        "because": WHERE,
        "fingerprint": "0123456789ab",
        "place": "feedfeed",
        "interfaces": [{"name": "wlan0", "ssid": "Hotel of Yesterday", "gateways": [GATEWAY]}],
    },
}
BUNDLE = Bundle(
    versions={"agent": "1.0", "docker": "26.1.5"},
    doctor=DoctorShown(broken=True, findings=(FOUND,), unseen=(TOLD,)),
    status={"network": {"name": "office", "because": WHERE, "fingerprint": "0123456789ab"}, "last": [TOLD, WHERE]},
    policy=POLICY,
    settings={"effective": RUNS_WITH},
    units={"docker.service": {"Id": "docker.service"}},
    audit=(RECORD,),
    journal=("2026-11-28T09:12:04Z Chose office-proxy at Hotel of Yesterday", TOLD, WHERE),
    users=frozenset({PERSON}),
    places=frozenset({*places_of(HERE), *places_in([RECORD["facts"]])}),
)
SECRETS = (PASSWORD, PROXY_USER, PERSON)
PLACES = (
    SSID, "Müller", "OldNet", "Hotel of Yesterday", GATEWAY, "10.20.30", "192.168.77.1", MAC, "fe80::1", "2001:db8", DOMAIN,
    "0123456789ab",
)  # fmt: skip


def written(*, is_full: bool) -> str:
    return json.dumps(made(BUNDLE, is_full=is_full), ensure_ascii=False)


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_password_and_no_user_is_in_it(secret: str, is_full: bool) -> None:
    assert secret not in written(is_full=is_full)


@pytest.mark.parametrize("place", PLACES)
def test_no_place_is_in_it(place: str) -> None:
    assert place not in written(is_full=False)


@pytest.mark.parametrize("place", [SSID, "OldNet*", GATEWAY, MAC, DOMAIN, "fe80::1"])
def test_with_full_places_are_in_it(place: str) -> None:
    assert place in written(is_full=True)


def test_what_a_helpdesk_needs_is_in_it() -> None:
    found = made(BUNDLE, is_full=False)

    assert list(found) == [
        "places", "versions", "doctor", "status", "policy", "settings", "units", "audit", "journal", "unseen",
    ]  # fmt: skip
    assert found["places"] == "names"
    assert found["versions"]["docker"] == "26.1.5"
    assert found["doctor"]["findings"][0]["code"] == "condition"
    assert found["policy"]["networks"][0]["name"] == "office"
    assert found["policy"]["networks"][0]["match"] == {"ssid": "•••", "gateway": "•••", "gateway_mac": "•••"}
    assert found["policy"]["upstreams"]["office-proxy"]["http"] == "http://127.0.0.1:3128"
    assert found["settings"]["effective"]["http"] == "http://•••@proxy.test:3128"
    assert found["audit"][0]["facts"]["place"] == "feedfeed"
    assert found["journal"][0].startswith("2026-11-28T09:12:04Z Chose office-proxy at ‹place ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("10.1.2.3:3128 and 10.1.2.3", "‹address 1›:3128 and ‹address 1›", id="the-same-mark-again"),
        pytest.param("via 10.1.2.3, 10.1.2.4/24", "via ‹address 1›, ‹address 2›/24", id="two"),
        pytest.param("127.0.0.1:3128 [::1]:3128 0.0.0.0", "127.0.0.1:3128 [::1]:3128 0.0.0.0", id="this-host"),
        pytest.param("10.0.0.0/8,fe80::/10", "10.0.0.0/8,fe80::/10", id="all-private-networks"),
        pytest.param("[2001:db8::7]:3128", "[‹address 1›]:3128", id="ipv6"),
        pytest.param("52-54-00-AA-BB-CC", "‹address 1›", id="mac-with-dashes"),
        pytest.param("2026-11-28T09:12:04Z took 1.2 s", "2026-11-28T09:12:04Z took 1.2 s", id="a-time"),
        pytest.param("docker 26.1.5 sha256:abcd", "docker 26.1.5 sha256:abcd", id="a-version"),
        pytest.param('2.match.ssid: "Home" is not', "2.match.ssid: •••", id="a-problem-of-the-policy"),
        pytest.param("at cafenet, Cafenet2", "at ‹place 1›, Cafenet2", id="a-known-place"),
        pytest.param("/home/bob/x", "/home/‹user 1›/x", id="a-home"),
    ],
)
def test_what_is_hidden_of_a_text(text: str, shown: str) -> None:
    assert Hiding((), ("CafeNet",)).text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at CorpNet-5G, now", "at ‹place 1›, now"),
        ("at Corp (5 GHz)", "at ‹place 1› (5 GHz)"),
        ("at InCorporated", "at InCorporated"),
    ],
)
def test_a_pattern_hides_what_it_matches(text: str, shown: str) -> None:
    assert Hiding((), ("Corp*", "*")).text(text) == shown


def test_who_is_named_by_what_was_found_is_known() -> None:
    facts = Facts(
        pause=Pause(at="2026-11-29 09:00", by="fay (claimed by sudo)", whose="fay"),
        clients=(Client(path="/c", whose="ann"),),
        homes=(Left(whose="ben", why="it hangs"),),
        proxies=(LocalProxy(at="127.0.0.1:1", port=1, owner="cat", listens=("dan",)),),
    )

    assert {*users_found(facts, [{"by": {"claimed": "eve"}}, {"by": None}, {}])} == {
        "ann",
        "ben",
        "cat",
        "dan",
        "eve",
        "fay",
    }


def test_a_place_that_is_called_as_a_field_hides_no_field() -> None:
    found = Hiding((), ("status",)).value({"status": "at status", "10.1.2.3": 1})

    assert found == {"status": "at ‹place 1›", "‹address 1›": 1}


def test_every_part_is_documented() -> None:
    section = DOCUMENT.partition("`doctor --bundle")[2].partition("Whatever fails")[0]

    assert set(made(BUNDLE, is_full=False)) <= set(re.findall(r"`([a-z-]+)`", section))


def test_with_full_only_users_are_hidden() -> None:
    assert Hiding((PERSON,), None).text("alice at 10.1.2.3") == "‹user 1› at 10.1.2.3"

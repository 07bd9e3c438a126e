"""What may stand in a record."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from agent.audit.facts import plain
from agent.values.errors import TargetFailed
from agent.values.policy import Duration, Method, Size, Upstream
from agent.values.secret import HIDDEN, Secret, without_userinfo
from agent.values.settings import DIRECT, Masked, Texts, Unparsable, proxy, settings
from agent.values.snapshot import Interface

OFFICE = settings("http://al:pw@proxy.corp:3128", no_proxy="localhost,.corp")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(
            OFFICE, {"http": f"http://{HIDDEN}@proxy.corp:3128", "no_proxy": ".corp,localhost"}, id="settings"
        ),
        pytest.param(DIRECT, {"direct": True}, id="direct"),
        pytest.param(proxy("socks5://u:p@h"), f"socks5://{HIDDEN}@h:1080", id="proxy"),
        pytest.param(proxy("http://xxxxx:xxxxx@h:1"), f"http://{HIDDEN}@h:1", id="masked"),
        pytest.param(Unparsable(Secret("http://a:b#c@d")), "‹unparsable›", id="unparsable"),
        pytest.param(Secret("pw"), HIDDEN, id="secret"),
        pytest.param(Texts(http="http://u:p@h"), HIDDEN, id="texts"),
        pytest.param(Masked.MASKED, "masked", id="enum"),
        pytest.param(Method.DROP_IN, "systemd-drop-in", id="enum-text"),
        pytest.param(
            Interface("wlan0", ssid="CorpNet"),
            {
                "name": "wlan0",
                "has_carrier": True,
                "ssid": "CorpNet",
                "ipv4": [],
                "ipv6_64s": [],
                "gateways": [],
                "gateway_macs": [],
                "is_ground": True,
                "is_by_upstream": False,
            },
            id="struct",
        ),
        pytest.param(Duration(3), 3.0, id="duration"),
        pytest.param(Size(5), 5, id="size"),
        pytest.param(Path("/etc/docker/daemon.json"), "/etc/docker/daemon.json", id="path"),
        pytest.param(Path("/home/\udcff"), "/home/\\udcff", id="path-that-is-no-utf-8"),
        pytest.param(frozenset({"b", "a"}), ["a", "b"], id="set"),
        pytest.param({"a": (1, None, True)}, {"a": [1, None, True]}, id="nested"),
        pytest.param(dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "2026-03-01T00:00:00+00:00", id="moment"),
        pytest.param(
            TargetFailed("/a", "no", "http://u:p@h"), f"/a: no. http://{HIDDEN}@h", id="error-with-a-url-in-it"
        ),
    ],
)
def test_a_fact_in_a_record_is_plain(value: object, shown: object) -> None:
    assert plain(value) == shown
    assert msgspec.json.decode(msgspec.json.encode(plain(value))) == shown


def test_user_names_are_not_shown_for_they_may_be_tokens() -> None:
    shown = plain(Upstream("office", username="ghp_token", password=Secret("pw")))

    assert isinstance(shown, dict)
    assert (shown["name"], shown["username"], shown["password"]) == ("office", HIDDEN, HIDDEN)


@pytest.mark.parametrize(
    "value", [b"bytes", object(), {1: "a"}, {"a": object()}, [object()], ValueError("x"), range(3)]
)
def test_a_type_that_nobody_decided_about_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        plain(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h:1/x", f"http://{HIDDEN}@h:1/x"),
        ("HTTPS://token@h", f"HTTPS://{HIDDEN}@h"),
        (
            "dial http://u:p@h:1: refused, then socks5://a@b",
            f"dial http://{HIDDEN}@h:1: refused, then socks5://{HIDDEN}@b",
        ),
        ("http://u:p@ss/w#rd?@h", f"http://{HIDDEN}@h"),
        ("http://u:http://x@y@h", f"http://{HIDDEN}@h"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("mail alice@corp.example", "mail alice@corp.example"),
        ("busybox@sha256:12ab", "busybox@sha256:12ab"),
    ],
)
def test_a_text_loses_what_stands_before_the_host_of_a_url(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown

"""What `status -v` says of the places that show what Docker runs with."""

from __future__ import annotations

import json

import pytest

from agent.service.sights_page import sights_lines, sights_shown
from agent.values.settings import Texts
from agent.values.sight import Sight, Sights, Where

PROXY = "http://alice:hunter2@proxy.example:3128"
OFFICE = Texts(PROXY, PROXY, "localhost,127.0.0.0/8")
REPORTED = Texts(
    "http://xxxxx:xxxxx@proxy.example:3128", "http://xxxxx:xxxxx@proxy.example:3128", "127.0.0.0/8,localhost"
)
OTHER = Texts("http://other.example:1", "http://other.example:1")
NONE = Texts()
COMMAND = "systemctl show --property=Environment docker"
ENV = "/etc/docker-proxy-agent/dockerd.env"
UNIT = Sight(Where.UNIT, COMMAND, NONE)
FILE = Sight(Where.FILE, ENV, OFFICE)
PROCESS = Sight(Where.PROCESS, "/proc/7/environ", OFFICE)
INFO = Sight(Where.ENGINE, "docker info", REPORTED)
AT_THE_OFFICE = Sights((UNIT, FILE, PROCESS, INFO), next_start=OFFICE, file=ENV)


def test_each_place_says_it_as_it_is_spelled_there_and_without_a_password() -> None:
    shown = "http://•••@proxy.example:3128"
    variables = f"HTTP_PROXY={shown} HTTPS_PROXY={shown} NO_PROXY=127.0.0.0/8,localhost"

    unit, file, process, info, why, agrees = sights_lines(AT_THE_OFFICE)

    assert unit == f"  unit         {COMMAND}: Environment= has no proxy"
    assert file == f"  file         {ENV}: {variables}"
    assert process == f"  process      /proc/7/environ: {variables}"
    assert info == (
        f"  reports      docker info: HTTP Proxy: {shown} · HTTPS Proxy: {shown} · No Proxy: 127.0.0.0/8,localhost"
    )
    assert why.startswith(f"  why          the values are in {ENV}, which the unit names as EnvironmentFile=")
    assert agrees == "  agrees       Docker says what it was given"
    assert "hunter2" not in json.dumps(sights_shown(AT_THE_OFFICE)) + repr(AT_THE_OFFICE)


def test_a_unit_as_the_manual_sets_it_up_says_it_all() -> None:
    """The commonest start: a drop-in with Environment=."""
    theirs = Sights(
        (
            Sight(Where.UNIT, COMMAND, OTHER),
            Sight(Where.PROCESS, "/proc/7/environ", OTHER),
            Sight(Where.ENGINE, "docker info", OTHER),
        ),
        next_start=OTHER,
    )

    assert next(sights_lines(theirs)) == (
        f"  unit         {COMMAND}: Environment=HTTP_PROXY=http://other.example:1 HTTPS_PROXY=http://other.example:1"
    )
    assert not any(text.startswith("  why") for text in sights_lines(theirs))


@pytest.mark.parametrize(
    ("places", "next_start", "agrees", "changes"),
    [
        pytest.param((PROCESS, INFO), OFFICE, True, False, id="all-the-same"),
        pytest.param((PROCESS, INFO), OTHER, True, True, id="written-for-the-next-start"),
        pytest.param((PROCESS, INFO), None, True, False, id="a-file-is-closed"),
        pytest.param((PROCESS, Sight(Where.ENGINE, "", OTHER)), OFFICE, False, False, id="docker-says-otherwise"),
        pytest.param((PROCESS, Sight(Where.ENGINE, "", None, "silent")), OFFICE, None, False, id="docker-is-silent"),
        pytest.param((Sight(Where.PROCESS, "", None, "closed"), INFO), OFFICE, None, False, id="closed"),
        pytest.param(
            (Sight(Where.DAEMON_JSON, "", OTHER), PROCESS, Sight(Where.ENGINE, "", Texts(OTHER.http, OTHER.https, OFFICE.no_proxy))),
            OFFICE, True, False, id="daemon-json-beats-the-environment",
        ),
        pytest.param(
            (Sight(Where.FLAGS, "", OFFICE), Sight(Where.DAEMON_JSON, "", OTHER), Sight(Where.PROCESS, "", NONE), INFO),
            NONE, True, False, id="flags-beat-daemon-json",
        ),
        pytest.param((Sight(Where.DAEMON_JSON, "", None, "closed"), PROCESS, INFO), OFFICE, None, False, id="unread"),
    ],
)  # fmt: skip
def test_what_agrees(
    places: tuple[Sight, ...], next_start: Texts | None, *, agrees: bool | None, changes: bool
) -> None:
    seen = Sights(places, next_start=next_start)

    assert (seen.agrees, seen.changes_with_the_next_start) == (agrees, changes)
    said = [text for text in sights_lines(seen) if text.startswith(("  agrees", "  differs"))]
    assert len(said) == (agrees is not None) + changes


def test_one_that_does_not_read_proxies_from_daemon_json_is_not_held_to_it() -> None:
    old = (Sight(Where.DAEMON_JSON, "/etc/docker/daemon.json", OTHER), PROCESS, INFO)

    assert Sights(old).agrees is False
    assert Sights(old, takes_file=False).agrees is True


def test_json_names_what_is_not_known_and_why() -> None:
    shown = sights_shown(Sights((UNIT, Sight(Where.PROCESS, "/proc/7/environ", None, "closed to you"), INFO)))

    assert shown["sights"][0] == {"where": "unit", "at": COMMAND, "says": {}, "why_not": None}
    assert shown["sights"][1] == {
        "where": "process", "at": "/proc/7/environ", "says": None, "why_not": "closed to you",
    }  # fmt: skip
    assert shown["sights"][2]["says"]["No Proxy"] == "127.0.0.0/8,localhost"
    assert shown["agrees"] is None

"""The page of `audit report`: what is on it is what the records say, and nothing of others' is more than a text there."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, Final

import msgspec
import pytest

from agent.audit.report import axis
from agent.audit.report.bars import Bars
from agent.audit.report.page import page
from agent.audit.report.tell import MOST_ROWS, Asked, report
from agent.audit.report.values import HUES, Band, Bar, Chain, Report, Tone
from agent.audit.report.words import clock, length, moment, period, share, zone
from agent.cli.audit.when import local
from agent.values.events import Event
from agent.values.secret import escaped

from .test_account import ALICE, DIRECT, OFFICE, Log, at, begun

WHOLE: Final = Chain(is_whole=True, says="The log is whole.", last="13:abc")
VOID: Final = {"meta", "rect", "line", "path"}
CORP: Final = "http://proxy:3128"


@pytest.fixture(autouse=True)
def _in_berlin(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")  # whose clocks change


class Read(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.rows: dict[int, str] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append((tag, named))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr" and "id" in named:
            self.rows[int(named["id"].removeprefix("r"))] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)
        if "tr" in self.open and self.rows:
            self.rows[[*self.rows][-1]] += f"{data} "

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def reported(log: Log, now: str = "18:00:00", **asked: Any) -> Report:
    return report(
        log.heads, Asked(**{"now": at(now), "host": "laptop", "version": "1", "is_running": True, **asked}), WHOLE
    )


def band(found: Report, name: str) -> Band:
    return next(one for one in found.bands if one.name.startswith(name))


def bars(found: Report, name: str) -> list[tuple[str, str, str]]:
    return [(f"{one.begin:%H:%M}", f"{one.end:%H:%M}", one.label) for one in band(found, name).bars]


def a_day() -> Log:
    """Office, an outage, home; a pin and an order; a start by others; the agent stops and starts."""
    log = begun()
    log.write("10:00:30", Event.UNREACHABLE_BEGAN, network="office", upstream="corp", since="2026-03-01T10:00:00Z",
              because="corp may still come", verdicts=[{"upstream": "corp", "verdict": "refused", "ms": 1.0}])  # fmt: skip
    log.write("10:05:00", Event.UNREACHABLE_ENDED, lasted_s=300.0, because="what Docker runs with works here")
    log.write("12:00:00", Event.NETWORK_CHANGED, network="home", previous_network="office")
    log.write(
        "12:00:01", Event.UPSTREAM_CHOSEN, upstream="direct", network="home", because="first of direct that works"
    )
    log.write("12:00:02", Event.APPLY_STARTED, effective=OFFICE, settings=DIRECT, targets=["/etc/dockerd.env"])
    log.write("12:00:03", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2")
    log.write("12:00:03", Event.DOCKER_RESTARTED, took_s=0.7, due="Docker runs with corp", allowed="no container runs",
              containers_kept=2, containers_lost=["web"])  # fmt: skip
    log.write("13:00:00", Event.PINNED, by=ALICE, upstream="direct", until=None)
    log.write("14:00:00", Event.UNPINNED, by=ALICE, upstream="direct", because="requested")
    log.write("15:00:00", Event.DOCKER_STARTED, cause="others", effective=DIRECT, invocation="i3")
    log.write("16:00:00", Event.AGENT_STOPPED, because="told to stop")
    return log.write("17:00:00", Event.AGENT_STARTED, version="1", network="home", upstream="direct",
                     effective=DIRECT, invocation="i3")  # fmt: skip


def test_the_bands_are_what_the_records_say() -> None:
    found = reported(a_day())

    assert bars(found, "Network") == [
        ("09:00", "12:00", "office"), ("12:00", "16:00", "home"), ("16:00", "17:00", "no agent ran"), ("17:00", "18:00", "home"),
    ]  # fmt: skip
    assert bars(found, "Chosen") == [
        ("09:00", "12:00", "corp"), ("12:00", "16:00", "direct"), ("16:00", "17:00", "no agent ran"), ("17:00", "18:00", "direct"),
    ]  # fmt: skip
    assert bars(found, "What Docker ran with") == [
        ("09:00", "12:00", CORP), ("12:00", "15:00", "direct"), ("15:00", "18:00", "direct"),
    ]  # fmt: skip
    assert bars(found, "Docker reached no registry") == [("10:00", "10:05", "5 min")]
    assert bars(found, "Orders") == [("13:00", "14:00", "pinned: direct")]
    assert [(one.number, f"{one.at:%H:%M}", one.tone) for one in band(found, "Restarts").marks] == [
        (1, "12:00", Tone.PLAIN), (2, "15:00", Tone.OTHERS),
    ]  # fmt: skip
    assert [(one.number, f"{one.at:%H:%M}") for one in band(found, "Orders").marks] == [(1, "13:00"), (2, "14:00")]


def test_what_was_behind_the_relay_has_a_band_while_docker_was_given_it() -> None:
    log = begun()
    log.write("10:00:00", Event.RELAY_SWITCHED, upstream="corp", network="office", others=[], generation=1)
    log.write("10:00:00", Event.RELAY_ENABLED, listens=["127.0.0.1:3130"])
    log.write("12:00:00", Event.RELAY_SWITCHED, upstream="direct", network="home", others=[], generation=2)
    log.write("15:00:00", Event.RELAY_DISABLED, because="the policy does not enable it")

    found = reported(log)

    assert bars(found, "Behind the relay") == [("10:00", "12:00", "corp"), ("12:00", "15:00", "direct")]
    chosen = next(one.tone for one in band(found, "Chosen").bars if one.label == "corp")
    assert band(found, "Behind the relay").bars[0].tone is chosen
    assert "Behind the relay" not in [one.name for one in reported(a_day()).bands]


def test_docker_has_the_name_and_colour_of_the_upstream_whose_settings_it_runs_with() -> None:
    log = begun(effective=DIRECT)
    log.write("09:30:00", Event.UPSTREAM_CHOSEN, upstream="corp", network="office", because="first")
    log.write("09:30:01", Event.APPLY_STARTED, effective=DIRECT, settings=OFFICE, targets=[])
    log.write(
        "09:30:02", Event.DOCKER_STARTED, cause="agent", effective={**OFFICE, "no_proxy": "other"}, invocation="i2"
    )
    found = reported(log)

    chosen, docker = band(found, "Chosen").bars[-1], band(found, "What Docker ran with").bars[-1]
    assert (docker.label, docker.tone) == (chosen.label, chosen.tone) == ("corp", docker.tone)
    assert [(key.name, key.means) for key in found.keys if key.tone is docker.tone] == [("corp", CORP)]


@pytest.mark.parametrize(("in_force", "label"), [(True, "corp"), (None, CORP)])
def test_where_only_clients_were_written_docker_has_the_name_of_the_upstream_if_it_ran_with_that_already(
    in_force: bool | None, label: str
) -> None:
    """Not where something else sets Docker's proxy, which is then not the chosen one."""
    log = begun(effective=OFFICE)
    said: dict[str, Any] = {} if in_force is None else {"in_force": in_force}
    log.write("09:30:00", Event.UPSTREAM_CHOSEN, upstream="corp", network="office", because="first")
    log.write("09:30:01", Event.APPLY_STARTED, effective=OFFICE, client_settings=OFFICE, targets=[], **said)
    log.write("10:00:00", Event.DOCKER_STARTED, cause="others", effective=OFFICE, invocation="i2")

    assert band(reported(log), "What Docker ran with").bars[-1].label == label


def test_settings_that_several_upstreams_mean_go_by_their_address() -> None:
    log = begun(effective=DIRECT)
    for minute, upstream in ((30, "corp"), (40, "corp-by-another-name")):
        log.write(f"09:{minute}:00", Event.UPSTREAM_CHOSEN, upstream=upstream, network="office", because="first")
        log.write(f"09:{minute}:01", Event.APPLY_STARTED, effective=DIRECT, settings=OFFICE, targets=[])
    log.write("09:40:02", Event.DOCKER_STARTED, cause="agent", effective=OFFICE, invocation="i2")

    assert band(reported(log), "What Docker ran with").bars[-1].label == CORP


def test_what_goes_through_the_relay_is_not_said_to_be_an_upstream() -> None:
    log, relay = begun(effective=DIRECT), {"http": "http://172.17.0.1:3129", "https": "http://172.17.0.1:3129"}
    log.heads.append(
        msgspec.structs.replace(log.heads[0], seq=2, ts="2026-03-01T09:29:00Z", event="relay-enabled",
            facts=msgspec.Raw(b'{"listens":["127.0.0.1:3129","172.17.0.1:3129"]}'))
    )  # fmt: skip
    log.lose(1).write("09:30:01", Event.APPLY_STARTED, effective=DIRECT, settings=relay, targets=[])
    log.write("09:30:02", Event.DOCKER_STARTED, cause="agent", effective=relay, invocation="i2")
    log.write("12:00:00", Event.UPSTREAM_CHOSEN, upstream="direct", network="home", because="first")

    assert bars(reported(log), "What Docker ran with")[-1][2] == "the relay"


def test_the_tables_are_what_the_records_say_and_lead_to_them() -> None:
    outages, restarts, orders, ran, others, away = reported(a_day()).listings

    assert [[cell.text for cell in line] for line in outages.lines] == [
        [
            "11:00:00",
            "11:05:00",
            "5 min",
            "office",
            "corp",
            "nothing worked here: corp refused; ended: what Docker runs with works here",
        ]
    ]
    assert [[cell.text for cell in line] for line in restarts.lines] == [
        ["13:00:03", "the agent", "0.7 s", "2 kept; 1 lost: web", "Docker runs with corp", "no container runs"],
        ["16:00:00", "others", "", "", "", ""],
    ]
    assert [[cell.text for cell in line] for line in orders.lines] == [
        ["14:00:00", "alice (claimed by sudo), login uid 1000", "pin direct", "nothing is recorded"],
        ["15:00:00", "alice (claimed by sudo), login uid 1000", "unpin", "nothing is recorded"],
    ]
    assert [[cell.text for cell in line] for line in ran.lines][:2] == [
        ["10:00:00", "13:00:00", "3 h", CORP, "office", ""],
        ["13:00:00", "13:00:03", "3.0 s", CORP, "home", ""],
    ]
    assert [line[0].seq for listing in (outages, restarts, orders) for line in listing.lines] == [2, 8, 11, 9, 10]
    assert others.lines == ()
    assert [[cell.text for cell in line] for line in away.lines] == [["17:00:00", "18:00:00", "1 h", "told to stop"]]
    assert [(line[0].seq, line[1].seq) for line in away.lines] == [(12, 13)]


def test_what_others_changed_is_a_table_with_when_whose_and_what_came_of_it() -> None:
    log = begun()
    file = ["/home/alice/.docker/config.json"]
    log.write("10:00:00", Event.ADOPTED, targets=["/etc/docker/daemon.json"], found={"http": "http://old:1"})
    log.write("10:01:00", Event.DRIFT_CORRECTED, targets=file, found=DIRECT, owner="alice",
              changed="2026-03-01T10:00:58.1Z", password_before="a", password_after=None)  # fmt: skip
    log.write("10:02:00", Event.DRIFT_CORRECTED, targets=file, owner=None, password_before=None, password_after=None)
    log.write("10:03:00", Event.GAVE_UP, targets=file, because="changed 5 times in 10 min", owner="alice")

    *_, others, _ = reported(log).listings

    assert [[cell.text for cell in line] for line in others.lines] == [
        [
            "11:00:00",
            "/etc/docker/daemon.json",
            "",
            "http http://old:1",
            "replaced by the agent for the first time; kept for `restore`",
        ],
        ["11:00:58", file[0], "alice", "direct", "corrected; another password"],
        ["11:02:00", file[0], "it was removed", "", "corrected"],
        ["11:03:00", file[0], "alice", "", "left alone: changed 5 times in 10 min"],
    ]
    assert [line[0].seq for line in others.lines] == [2, 3, 4, 5]


def test_an_agent_that_was_killed_did_not_look_some_time_before_the_next() -> None:
    log = begun().write("10:00:00", Event.NETWORK_CHANGED, network="home")
    log.write("11:00:00", Event.AGENT_STARTED, version="1", last_ended="was killed, or crashed")

    *_, away = reported(log).listings

    assert [[cell.text for cell in line] for line in away.lines] == [
        ["11:00:00", "12:00:00", "1 h", "it was killed, or crashed at some point in this time"]
    ]


def test_colours_of_networks_are_explained_as_they_are_in_the_background() -> None:
    found = reported(a_day())

    assert [(key.name, key.is_ground) for key in found.keys][:2] == [("office", True), ("home", True)]
    assert {key.name for key in found.keys if not key.is_ground} >= {"corp", "direct", "not known"}


def test_starts_by_the_agent_and_by_others_that_are_drawn_as_one_are_neither() -> None:
    log = begun()
    for minute in range(6):
        log.write(f"10:0{minute}:00", Event.DOCKER_STARTED, cause="others", effective=OFFICE, invocation=f"o{minute}")
    apart = Read(page(reported(log)))
    log.write("10:06:00", Event.DOCKER_STARTED, cause="agent", effective=DIRECT, invocation="i2")
    log.write("10:06:00", Event.DOCKER_RESTARTED, took_s=0.7, due="d", allowed="a")

    found = reported(log)

    assert "several, by the agent and by others" in [key.name for key in found.keys]
    assert {named["class"] for tag, named in Read(page(found)).tags if tag == "svg" and "mark" in named["class"]} == {
        "mark mixed"
    }
    assert not [named for _, named in apart.tags if "mixed" in named.get("class", "")]


def test_the_headline_and_the_numbers_count_all_of_it() -> None:
    found = reported(a_day())

    assert (
        found.headline
        == "5 min without a registry in the 8 h that an agent was watching; 1 restart by the agent took 0.7 s and lost 1 container"
    )
    assert [(one.number, one.what) for one in found.figures] == [
        ("2", "networks, 1 move"), ("5 min", "in 1 outage"), ("1", "restart by the agent; 1 start by others"),
        ("1", "container lost"), ("2", "orders by people"), ("13", "records; the log is whole"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("log", "headline"),
    [
        pytest.param(begun(), "No outage in the 9 h that an agent was watching; no restart by the agent", id="quiet"),
        pytest.param(Log(), "No agent ran in this time, so nothing is known", id="nothing"),
    ],
)
def test_a_day_on_which_nothing_happened(log: Log, headline: str) -> None:
    assert reported(log).headline == headline


def test_a_stretch_of_time_begins_with_what_was_so_and_has_its_own_records_alone() -> None:
    found = reported(a_day(), since=at("10:02:00"), until=at("11:00:00"))

    assert bars(found, "Network") == [("10:02", "11:00", "office")]
    assert bars(found, "Docker reached no registry") == [("10:02", "10:05", "3 min")]
    assert [row.seq for row in found.rows] == [3]
    assert (found.begin, found.end) == (at("10:02:00"), at("11:00:00"))


def test_after_the_last_record_nothing_is_known_if_no_agent_runs() -> None:
    log = begun().write("12:00:00", Event.POLICY_LOADED, path="/p", because="it changed", warnings=[])

    assert bars(reported(log, is_running=True), "Network") == [("09:00", "18:00", "office")]
    assert bars(reported(log, is_running=False), "Network") == [
        ("09:00", "12:00", "office"),
        ("12:00", "18:00", "the agent ended without a word"),
    ]


def test_before_the_first_record_that_says_it_nothing_is_known() -> None:
    log = Log(first=7).write("09:00:00", Event.NETWORK_CHANGED, network="home")
    log.write("10:00:00", Event.UPSTREAM_CHOSEN, upstream="direct", network="home", because="it works")
    found = reported(log)

    assert bars(found, "Chosen") == [("09:00", "10:00", "no record says it"), ("10:00", "18:00", "direct")]
    assert [(bar.label, bar.tone) for bar in band(found, "What Docker").bars] == [("no record says it", Tone.UNKNOWN)]


def test_an_outage_whose_end_nobody_saw_lasted_at_least_so_long() -> None:
    log = begun().write(
        "10:00:00", Event.UNREACHABLE_BEGAN, network="office", since="2026-03-01T10:00:00Z", because="x", verdicts=[]
    )
    log.write("10:10:00", Event.POLICY_LOADED, path="/p", because="it changed", warnings=[])
    log.write("12:00:00", Event.AGENT_STARTED, version="1", last_ended="was killed, or crashed")

    ((*_, lasted, _network, _ran, why),) = reported(log).listings[0].lines
    assert lasted.text == "at least 10 min"
    assert "the agent was killed, or crashed" in why.text


def test_every_record_is_a_row_and_nothing_else_is() -> None:
    log = a_day()
    read = Read(page(reported(log)))

    assert [*read.rows] == [head.seq for head in log.heads]
    for head in log.heads:
        assert head.event in read.rows[head.seq]
    assert "alice (claimed by sudo), login uid 1000" in read.rows[9]
    assert f"-http {CORP}" in read.rows[6]
    assert "+direct" in read.rows[6]


def test_of_a_long_time_the_newest_records_have_rows_and_the_picture_has_all() -> None:
    log = begun()
    for number in range(MOST_ROWS + 10):
        log.write(
            f"{9 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
            Event.NETWORK_CHANGED,
            network=f"n{number % 3}",
        )
    found = reported(log)

    assert len(found.rows) == MOST_ROWS
    assert found.rows_left_out == 11
    assert "11 earlier ones are not on this page" in page(found)
    assert found.figures[0].what == f"networks, {MOST_ROWS + 10} moves"
    assert 2 < len(band(found, "Network").bars) < MOST_ROWS


# What is on the page.


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    text = page(reported(a_day()))
    read = Read(text)

    assert not {tag for tag, _ in read.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "image",
    }
    for _, attributes in read.tags:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "srcset", "style", "action")
        ]
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("http-equiv", "Content-Security-Policy") == "Content-Security-Policy"
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style
    assert style.count("url(") == style.count("url(#unknown)") == 1
    assert "http" not in style


def test_the_page_is_whole_html_with_a_title_and_its_marks_lead_to_rows() -> None:
    read = Read(page(reported(a_day())))
    ids = {attributes["id"] for _, attributes in read.tags if "id" in attributes}

    assert {attributes["href"] for tag, attributes in read.tags if tag == "a"} <= {f"#{one}" for one in ids}
    assert [tag for tag, _ in read.tags][:2] == ["html", "head"]
    assert "Sunday, 1 March 2026, 10:00 to 19:00" in read.text
    assert "CET (UTC+01:00)" in read.text


def test_the_same_records_are_the_same_page() -> None:
    assert page(reported(a_day())) == page(reported(a_day()))


EVIL: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><b>",
    "\u202eecalp\x1b[31m\x00",
    "&lt;i&gt; &amp; <!-- --> ]]>",
)


@pytest.mark.parametrize("evil", EVIL)
def test_what_others_wrote_is_text_and_nothing_else(evil: str) -> None:
    quiet = Read(page(reported(_told_by("a-name"), is_full=True))).tags
    text = page(reported(_told_by(evil), is_full=True))
    read = Read(text)

    assert {tag for tag, _ in read.tags} <= {tag for tag, _ in quiet}
    assert {name for _, named in read.tags for name in named} <= {name for _, named in quiet for name in named}
    assert read.text.count(escaped(evil)) > 20
    assert not [char for char in text if not char.isprintable() and char not in "\n\u00a0"]
    assert "hunter2" not in text


def _told_by(evil: str) -> Log:
    """Everything that a stranger may have had a word in."""
    log = begun(network=evil, upstream=evil, effective={"http": evil, "no_proxy": evil}, last_ended=evil)
    log.write("10:00:00", Event.NETWORK_CHANGED, network=evil, because=evil, interfaces=[{"name": evil, "ssid": evil}])
    log.write(
        "10:00:01",
        Event.NO_UPSTREAM,
        network=evil,
        because=evil,
        verdicts=[{"upstream": evil, "verdict": "portal", "ms": 1.0, "evidence": evil}],
    )
    log.write("10:00:02", Event.UNREACHABLE_BEGAN, network=evil, upstream=evil, since=evil, because=evil, verdicts=[])
    log.write("10:00:03", Event.DOCKER_RESTARTED, due=evil, allowed=evil, containers_lost=[evil], took_s=1.0)
    log.write("10:00:04", Event.PINNED, by={"via": "control", "claimed": evil}, upstream=evil, until=evil)
    log.write("10:00:05", Event.POLICY_LOADED, path=evil, because=evil, warnings=[evil], diff=[f"-{evil}", f"+{evil}"])
    log.write(
        "10:00:06", Event.DRIFT_CORRECTED, targets=[evil], found={"http": "http://alice:hunter2@proxy:3128"}, owner=evil
    )
    log.write("10:00:07", Event.UNREACHABLE_ENDED, lasted_s=evil, because=evil)
    return log


PLACE: Final = {"ssid": "CorpNet", "gateways": ["10.99.0.1"], "addresses": ["10.99.0.7/16"], "name": "wlan7"}


def _somewhere() -> Log:
    log = begun(interfaces=[PLACE], fingerprint="67ad3bba747b", place="5c0d9f6a")
    log.write(
        "10:00:00", Event.NETWORK_CHANGED, network="cafe", because="match.ssid CorpNet on wlan7", interfaces=[PLACE]
    )
    verdict = {"upstream": "direct", "verdict": "portal", "ms": 1.0, "evidence": "a redirect to http://portal.example"}
    box = {"upstream": "corp", "verdict": "error", "ms": 1.0, "evidence": "not HTTP: Welcome to Hotel Adlon"}
    log.write("10:00:01", Event.NO_UPSTREAM, network="cafe", because="a portal answers", verdicts=[verdict, box])
    log.write("10:00:01", Event.RELAY_REFUSED, sources=["10.99.0.66"], times=1)
    wrong = 'network 2 (office).match.gateway: "10.99.0.300" is not an address'
    return log.write("10:00:02", Event.POLICY_REJECTED, path="/p", problems=[wrong])


@pytest.mark.parametrize("said", ["CorpNet", "10.99.0", "wlan7", "portal.example", "Adlon", "67ad3bba747b", "5c0d9f6a"])
def test_where_the_laptop_was_is_not_on_the_page(said: str) -> None:
    assert said not in page(reported(_somewhere()))
    assert "cafe" in page(reported(_somewhere()))


@pytest.mark.parametrize(
    "said",
    ['wlan7 "CorpNet" gateway 10.99.0.1 10.99.0.7/16', "portal.example", "10.99.0.300", "match.ssid", "10.99.0.66"],
)
def test_where_the_laptop_was_is_on_a_full_page(said: str) -> None:
    assert said in Read(page(reported(_somewhere(), is_full=True))).text


def test_a_record_of_a_newer_agent_has_a_row() -> None:
    log = begun()
    log.heads.append(type(log.heads[0])(v=9, ts="2026-03-01T10:00:00Z", seq=2, boot_id="b", pass_id="p", event="teleported",
                                         trigger="t", facts=log.heads[0].facts))  # fmt: skip

    assert "teleported" in Read(page(reported(log))).rows[2]
    assert "office" not in Read(page(reported(log))).rows[2]  # nobody knows here which of its facts tell of a place
    assert "office" in Read(page(reported(log, is_full=True))).rows[2]


@pytest.mark.parametrize("ts", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-07-20T20:17:40Z"])
@pytest.mark.parametrize("zone_of_reader", ["America/Los_Angeles", "Asia/Tokyo"])
def test_a_time_that_cannot_be_stops_nobody(ts: str, zone_of_reader: str, zone: Callable[[str], None]) -> None:
    zone(zone_of_reader)
    log = begun(effective=DIRECT, interfaces=[{"gateways": "x", "name": 1}, "y"])
    log.heads.insert(0, msgspec.structs.replace(log.heads[0], ts=ts))
    log.write("10:00:00", Event.UNREACHABLE_BEGAN, network="office", since=ts, because="x", verdicts=[])
    log.write("10:00:30", Event.UNREACHABLE_ENDED, because="it works")
    log.write("11:00:00", Event.DOCKER_STARTED, cause="others", effective=[], invocation=7, started_at=ts)

    read = Read(page(reported(log, is_full=True)))
    assert read.rows[3]
    assert read.text.count("office") > 1


# Its parts.


def test_a_band_has_no_more_bars_than_can_be_seen() -> None:
    begin, second = at("00:00:00"), dt.timedelta(seconds=1)
    found = Bars(begin, begin + 86400 * second)
    for number in range(0, 86400, 2):
        label, tone = ("long", HUES[0]) if number % 8 else ("short", HUES[1])
        found.add(Bar(begin + number * second, begin + (number + 2) * second, label, tone))

    drawn = found.all()
    assert 1000 < len(drawn) < 2000
    assert {bar.tone for bar in drawn} <= {HUES[0], HUES[1]}
    assert (drawn[0].begin, drawn[-1].end) == (begin, begin + 86400 * second)
    assert all(one.end == other.begin for one, other in itertools.pairwise(drawn))


def test_what_is_too_short_has_the_colour_of_the_longest_of_it() -> None:
    begin = at("00:00:00")
    found = Bars(begin, begin + dt.timedelta(days=1))
    for first, last, tone in ((0, 2, HUES[0]), (2, 12, HUES[1]), (12, 15, HUES[2]), (15, 80000, HUES[3])):
        found.add(Bar(begin + dt.timedelta(seconds=first), begin + dt.timedelta(seconds=last), tone.value, tone))

    assert [(bar.label, bar.tone) for bar in found.all()] == [
        ("3 that are too short to be drawn", HUES[1]),
        (HUES[3].value, HUES[3]),
    ]


@pytest.mark.parametrize(
    ("begin", "end", "labels", "on_a_phone"),
    [
        pytest.param("2026-03-02T08:02", "2026-03-02T15:22", ["09:00", "10:00", "11:00", "12:00", "13:00", "14:00", "15:00"], ["10:00", "12:00", "14:00"], id="a-day"),
        pytest.param("2026-03-02T22:00", "2026-03-03T04:00", ["22:00", "23:00", "Tue 3 Mar", "01:00", "02:00", "03:00", "04:00"], None, id="over-midnight"),
        pytest.param("2026-03-28T22:00", "2026-03-29T06:00", ["22:00", "23:00", "Sun 29 Mar", "01:00", "03:00", "04:00", "05:00", "06:00"], ["22:00", "Sun 29 Mar", "04:00", "06:00"], id="an-hour-is-left-out"),
        pytest.param("2026-10-24T22:00", "2026-10-25T04:00", None, None, id="an-hour-is-twice"),
        pytest.param("2026-01-01T00:00", "2026-12-31T00:00", [f"{month} 2026" for month in ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")], ["Jan 2026", "Apr 2026", "Jul 2026", "Oct 2026"], id="a-year"),
        pytest.param("1970-01-01T00:00", "2026-01-01T00:00", None, None, id="a-clock-without-a-battery"),
        pytest.param("2026-03-02T08:00:00", "2026-03-02T08:00:01", ["08:00:00", "08:00:01"], None, id="a-second"),
    ],
)  # fmt: skip
def test_the_times_below_the_picture(
    begin: str, end: str, labels: list[str] | None, on_a_phone: list[str] | None
) -> None:
    first, last = (dt.datetime.fromisoformat(text).astimezone() for text in (begin, end))
    found = axis.ticks(first, last)

    assert 1 <= len(found) <= axis.MOST
    assert sum(tick.is_on_a_phone for tick in found) <= axis.MOST_ON_A_PHONE
    assert [*found] == sorted(found, key=lambda tick: tick.at)
    if labels is not None:
        assert [tick.label for tick in found][: len(labels)] == labels
    if on_a_phone is not None:
        assert [tick.label for tick in found if tick.is_on_a_phone] == on_a_phone


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"), (0.71, "0.7 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (61, "1 min 1 s"),
        (3600, "1 h"), (3661, "1 h 1 min"), (90000, "1 d 1 h"), (86400 * 400, "400 d"),
    ],
)  # fmt: skip
def test_a_length(seconds: float, said: str) -> None:
    assert length(seconds) == said


@pytest.mark.parametrize(
    ("part", "said"), [(0, "0 %"), (0.01, "0.1 %"), (5, "5.0 %"), (42, "42 %"), (99.99, "99.9 %"), (100, "100 %")]
)
def test_a_share_is_all_only_if_it_is_all(part: float, said: str) -> None:
    assert share(part, 100) == said


def test_an_hour_that_was_twice_has_its_offset() -> None:
    before, first, second = (dt.datetime(2026, 10, 24, 23, 30, tzinfo=dt.UTC) + dt.timedelta(hours=n) for n in range(3))

    assert [clock(each) for each in (before, first, second)] == ["01:30:00", "02:30:00 +02:00", "02:30:00 +01:00"]
    assert moment(second) == "25 Oct 02:30:00 +01:00"
    assert local(first) == "2026-10-25 02:30:00 +02:00"
    assert period(before, second) == "Sunday, 25 October 2026, 01:30 to 02:30 +01:00"


def test_a_time_over_which_the_clocks_change_has_both_zones() -> None:
    first, last = (dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC) for day in (28, 29))

    assert zone(first, last) == "CET (UTC+01:00), then CEST (UTC+02:00)"
    assert period(first, last) == "28 March, 13:00 to 29 March 2026, 14:00"

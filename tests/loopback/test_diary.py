"""What the service says of network and choice: each change once, as a reader of the journal would tell it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.docker.news import started
from agent.one_pass.places import Places
from agent.one_pass.seen import Offline, Planned, Seen, Undecided
from agent.service.diary import Diary, agent_started
from agent.values.asker import Asker, Via
from agent.values.dockerd import Cause, Phase, Reality, UnitState
from agent.values.events import Event, Resumed
from agent.values.policy import Network, Upstream
from agent.values.sentences import sentence
from agent.values.settings import DIRECT
from agent.values.snapshot import Interface, Snapshot

NO_DOCKER = Reality(UnitState(Phase.ABSENT))


def at(network: str, address: str = "10.20.0.7/24", upstream: str = "direct") -> Seen:
    return Planned(
        snapshot=_reached_by(address),
        reality=NO_DOCKER,
        recognised=_as(network, upstream),
        choice=Choice(Ending.CHOSEN, "because", upstream),
        upstream=Upstream(upstream),
        plan=Plan(DIRECT),
    )


def undecided(network: str, address: str, ending: Ending) -> Seen:
    return Undecided(
        snapshot=_reached_by(address), reality=NO_DOCKER, recognised=_as(network), choice=Choice(ending, "because")
    )


def _reached_by(address: str) -> Snapshot:
    return Snapshot((Interface("wlan0", ipv4=(address,)),))


def _as(network: str, upstream: str = "direct") -> Recognised:
    return Recognised(Network(name=network, use=(upstream,)), "because")


OFFLINE = Offline(snapshot=Snapshot(), reality=NO_DOCKER)
STUCK = undecided("home", "10.20.0.7/24", Ending.UNREACHABLE)
WAITING = undecided("cafe", "10.30.0.7/24", Ending.WAITING)


def told_of(root: Path, day: list[Seen], first: Seen | None) -> list[str]:
    """What is said of a day. `first`: the look that the record of the agent's start was made from, if any."""
    file, places = root / "audit.jsonl", Places(root / "state")
    diary, record = Diary(places), Record(AuditLog(file, root / "state"))
    started = agent_started(None, first, NO_DOCKER, places=places, policy=None)
    record(started)
    diary.note_start(started, first)
    for seen in day:
        diary.tell(seen, record)
    _, *records = [json.loads(line) for line in file.read_text().splitlines()]
    return [sentence(Event(record["event"]), record["facts"]) for record in records]


@pytest.mark.parametrize(
    ("day", "told"),
    [
        pytest.param([at("home"), at("home")], ["Chose direct"], id="once"),
        pytest.param(
            [at("home"), at("office", "10.10.0.7/24", "proxy")],
            ["Chose direct", "The network changed: office, before: home", "Chose proxy"],
            id="another-network",
        ),
        pytest.param(
            [at("home"), OFFLINE, OFFLINE, at("home")],
            [
                *("Chose direct", "Offline, before: home; nothing is changed"),
                *("The network changed: home", "Chose direct"),
            ],
            id="back-from-offline",
        ),
        pytest.param(
            [at("home"), STUCK, STUCK, at("home")],
            ["Chose direct", "No upstream works in home", "Chose direct"],
            id="stuck-for-a-while",
        ),
        pytest.param([at("home"), WAITING], ["Chose direct"], id="not-before-it-is-known"),
    ],
)
def test_each_change_is_told_once(tmp_path: Path, day: list[Seen], told: list[str]) -> None:
    said = told_of(tmp_path, day, first=day[0])
    assert len(said) == len(told)
    assert [line for line, start in zip(said, told, strict=True) if not line.startswith(start)] == []


def test_a_network_that_the_record_of_the_start_did_not_know_is_told(tmp_path: Path) -> None:
    said = told_of(tmp_path, [at("home"), at("home")], first=None)

    assert [line.partition(":")[0] for line in said] == ["The network changed", "Chose direct in home"]


def test_a_move_while_the_first_choice_waited_is_told(tmp_path: Path) -> None:
    said = told_of(tmp_path, [WAITING, at("office", "10.10.0.7/24", "proxy")], first=WAITING)

    assert said[0].startswith("The network changed: office, before: cafe")


UP = Reality(UnitState(Phase.RUNNING, invocation="4be1"), unit_name="docker.service")


def test_what_a_log_said_that_is_gone_is_said_again_and_the_network_has_not_changed(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    places = Places(tmp_path / "state")
    diary, record = Diary(places), Record(AuditLog(log, tmp_path / "state"))
    home = msgspec.structs.replace(at("home"), reality=UP)
    diary.tell(home, record)
    diary.tell(home, record)
    before = [entry["event"] for entry in map(json.loads, log.read_text().splitlines())]
    assert before == ["docker-started", "network-changed", "upstream-chosen"]

    log.unlink()
    record(Resumed(because="requested"))
    diary.tell(home, record)
    diary.tell(home, record)

    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["log-recovered", "resumed", "docker-started", "upstream-chosen"]
    assert entries[2]["facts"]["because"] == "this start was recorded before"


def test_whoever_asks_has_brought_about_neither_a_lost_log_nor_a_start_that_is_told_again(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    diary = Diary(Places(tmp_path / "state"))
    record = Record(AuditLog(log, tmp_path / "state"))
    record(started(UP, cause=Cause.AGENT))
    log.unlink()
    alices = record.for_pass("1", "control", Asker(Via.CONTROL, 0, 1000, "alice"))
    alices(Resumed(because="requested"))
    diary.tell_of_docker(UP, alices)

    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(entry["event"], "by" in entry) for entry in entries] == [
        ("log-recovered", False), ("resumed", True), ("docker-started", False),
    ]  # fmt: skip
    assert entries[2]["facts"]["cause"] == "agent"

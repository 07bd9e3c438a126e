"""What the service says of network and choice: each change once, as a reader of the journal would tell it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.decide.choose import Choice, Ending
from agent.decide.recognise import Recognised
from agent.one_pass.seen import Seen
from agent.service.diary import Diary
from agent.values.events import Event, sentence
from agent.values.policy import Network
from agent.values.snapshot import Interface, Snapshot


def at(network: str, address: str = "10.20.0.7/24", upstream: str = "direct") -> Seen:
    there = Snapshot((Interface("wlan0", ipv4=(address,)),))
    recognised = Recognised(Network(name=network, use=(upstream,)), "because")
    return Seen(there, recognised, choice=Choice(Ending.CHOSEN, "because", upstream))


OFFLINE = Seen(Snapshot())
STUCK = msgspec.structs.replace(at("home"), choice=Choice(Ending.UNREACHABLE, "nothing works"))
WAITING = msgspec.structs.replace(at("cafe", "10.30.0.7/24"), choice=Choice(Ending.WAITING, "it may still come"))


@pytest.mark.parametrize(
    ("day", "told"),
    [
        pytest.param([at("home"), at("home")], ["The network changed: home", "Chose direct"], id="once"),
        pytest.param(
            [at("home"), at("office", "10.10.0.7/24", "proxy")],
            ["The network changed: home", "Chose direct", "The network changed: office, before: home", "Chose proxy"],
            id="another-network",
        ),
        pytest.param(
            [at("home"), OFFLINE, OFFLINE, at("home")],
            [
                *("The network changed: home", "Chose direct", "Offline, before: home; nothing is touched"),
                *("The network changed: home, before: offline", "Chose direct"),
            ],
            id="back-from-offline",
        ),
        pytest.param(
            [at("home"), STUCK, STUCK, at("home")],
            ["The network changed: home", "Chose direct", "No upstream works in home", "Chose direct"],
            id="stuck-for-a-while",
        ),
        pytest.param([at("home"), WAITING], ["The network changed: home", "Chose direct"], id="not-before-it-is-known"),
    ],
)
def test_each_change_is_told_once(tmp_path: Path, day: list[Seen], told: list[str]) -> None:
    file, diary = tmp_path / "audit.jsonl", Diary()
    record = Record(AuditLog(file, tmp_path / "state"))

    for seen in day:
        diary.tell(seen, record)

    records = [json.loads(line) for line in file.read_text().splitlines()]
    said = [sentence(Event(record["event"]), record["facts"]) for record in records]
    assert len(said) == len(told)
    assert [line for line, start in zip(said, told, strict=True) if not line.startswith(start)] == []

"""The relay's file of connections: two files, and nothing in them that is not a line of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.relay.connections_log import ConnectionsLog, Line

LARGEST = 1000


def line(number: int, host: str = "end.test") -> Line:
    return Line(
        "2026-01-09T14:00:00Z", "172.17.0.2", host, number, upstream="corp", up=1, down=2, seconds=0.5, result=""
    )


def ports(path: Path) -> list[int]:
    return [json.loads(text)["port"] for text in path.read_text().splitlines()]


def test_there_are_two_files_that_do_not_grow_and_the_latest_lines_are_in_them(tmp_path: Path) -> None:
    path = tmp_path / "connections.jsonl"
    log = ConnectionsLog(path, LARGEST)
    for number in range(1, 41):
        log.write(line(number))
    log.close()
    log = ConnectionsLog(path, LARGEST)  # as after a restart of the relay
    log.write(line(41))
    log.close()

    before = path.with_name("connections.jsonl.1")
    assert set(tmp_path.iterdir()) == {path, before}
    assert max(path.stat().st_size, before.stat().st_size) <= LARGEST
    found = ports(before) + ports(path)
    assert len(found) > 6
    assert found == list(range(42 - len(found), 42))


def test_what_a_client_asks_for_makes_no_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "connections.jsonl"
    log = ConnectionsLog(path)
    log.write(line(1, 'x\n{"source": "10.0.0.1"}\x1b[2J'))
    log.close()

    (only,) = map(json.loads, path.read_text().splitlines())
    assert only["source"] == "172.17.0.2"
    assert only["host"].isprintable()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "connections.jsonl"
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        ConnectionsLog(path).write(line(1))

    assert not (tmp_path / "elsewhere").exists()

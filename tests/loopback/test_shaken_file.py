"""What came of the last network changes, kept for the agent's next process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.decide.unsteady import Shaken
from agent.one_pass.shaken_file import KeptShaken, ShakenFile

KEPT = KeptShaken("0ff1ce", 1000.0, Shaken(990.0, 2))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    ShakenFile(tmp_path).save(KEPT)
    return tmp_path


def test_what_is_kept_is_found_by_the_next(state: Path) -> None:
    assert ShakenFile(state).load() == KEPT


def test_another_boot_begins_anew(state: Path) -> None:
    (file,) = state.glob("*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "state": {**kept["state"], "boot": "another"}}))

    assert ShakenFile(state).load() == KeptShaken()


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "state": {}}', '{"format": 1, "state": {"boot": 1}}'])
def test_what_cannot_be_understood_is_nothing(state: Path, text: str) -> None:
    (file,) = state.glob("*.json")
    file.write_text(text)

    assert ShakenFile(state).load() == KeptShaken()


def test_a_state_directory_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where the directory should be")

    ShakenFile(tmp_path / "state").save(KEPT)


def test_more_waits_than_there_are_is_nothing(state: Path) -> None:
    (file,) = state.glob("*.json")
    file.write_text(file.read_text().replace('"waits":2', '"waits":4'))

    assert ShakenFile(state).load() == KeptShaken()

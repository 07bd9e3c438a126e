"""What a person laid down by hand is checked before it is kept, and again when it is read."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import msgspec
import pytest

from agent.one_pass.memory import Memory
from agent.one_pass.overrides import Overrides, in_words
from agent.service.requests import Command, Wish
from agent.values.policy import Duration

from .runs import ran
from .test_asking import asked

CENTURIES = "99999999999999999d"


@pytest.mark.parametrize("words", [["pin", "direct"], ["pause"]])
def test_a_time_that_no_clock_can_hold_is_refused_and_not_kept(tmp_path: Path, words: list[str]) -> None:
    done = asked(tmp_path, *words, "--for", CENTURIES)

    assert done.returncode == 64
    assert f'"{CENTURIES}" is longer than the maximum of 100 years' in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("words", [("pin", "direct"), ("pause",)])
def test_nor_is_one_that_is_over_before_it_begins(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = asked(tmp_path, *words, "--for", "0s")

    assert done.returncode == 64
    assert '"0s" must be longer than 0 s' in done.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("for_s", ["8.64e21", "1e400", "-1", "0", "NaN", '"2h"'])
def test_nor_is_one_that_the_socket_brings(for_s: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(f'{{"command": "pause", "for_s": {for_s}}}', type=Wish)


def test_the_longest_that_is_taken_can_be_kept_and_shown(tmp_path: Path) -> None:
    overrides = Overrides(tmp_path)
    wish = Wish(Command.PAUSE, for_s=Duration.parse("36500d"))
    assert wish.for_s is not None
    overrides.pause(wish.for_s)

    (condition,) = Memory(tmp_path).conditions
    assert condition.code.value == "paused"
    assert " until 21" in condition.text


@pytest.mark.parametrize("until", [8.64e21, 1e300, -5])
def test_one_that_was_kept_all_the_same_is_said_and_ends_nothing(tmp_path: Path, until: float) -> None:
    (tmp_path / "standing.json").write_text(
        json.dumps({"format": 1, "state": {"is_paused": True, "paused_until": until}})
    )

    (condition,) = Memory(tmp_path).conditions

    assert condition.code.value == "target-failed"
    assert condition.target == str(tmp_path / "standing.json")


@pytest.mark.parametrize(
    "key", ["probe.recheck", "probe.timeout", "probe.failback", "docker.min_interval", "audit.keep"]
)
def test_nor_may_a_policy_say_one(tmp_path: Path, key: str) -> None:
    table, name = key.split(".")
    file = tmp_path / "config.toml"
    file.write_text(f'[{table}]\n{name} = "{CENTURIES}"\n[[network]]\nuse = ["direct"]\n')

    done = ran("--policy", str(file), "check")

    assert done.returncode == 1
    assert f'{file}: {key}: "{CENTURIES}" is longer than the maximum of 100 years' in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("left_s", "form"),
    [
        pytest.param(20, r" until \d\d:\d\d:\d\d", id="this-minute-may-be-the-last"),
        pytest.param(3600, r" until \d\d:\d\d", id="today"),
        pytest.param(90000, r" until \d{4}-\d\d-\d\d \d\d:\d\d", id="another-day"),
    ],
)
def test_when_it_ends_is_said_no_closer_than_a_person_needs(left_s: float, form: str) -> None:
    assert re.fullmatch(form, in_words(time.time() + left_s))

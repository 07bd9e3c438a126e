"""Where nothing but ASCII is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.charset import STAND_INS, is_ascii, started_with


@pytest.mark.parametrize(
    ("environment", "is_asked_for"),
    [
        pytest.param({}, False, id="nothing-said-as-in-a-unit"),
        pytest.param({"LANG": "C"}, True, id="C"),
        pytest.param({"LANG": "POSIX"}, True, id="POSIX"),
        pytest.param({"LANG": "C.UTF-8"}, False, id="C-with-UTF-8"),
        pytest.param({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, True, id="all-beats-the-language"),
        pytest.param({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, False, id="characters-beat-the-language"),
        pytest.param({"LANG": "C", "LC_ALL": ""}, True, id="empty-says-nothing"),
        pytest.param({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "C"}, False, id="only-of-messages"),
    ],
)
def test_who_asked_for_it(environment: dict[str, str], is_asked_for: bool) -> None:
    assert is_ascii(environment) is is_asked_for


def test_what_stands_in_is_ascii() -> None:
    assert all(str(text).isascii() for text in STAND_INS.values())


def test_an_environment_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert started_with(str(tmp_path / "nothing")) == {}
    (tmp_path / "environ").write_bytes(b"LANG=C\0EMPTY=\0nonsense\0A=b=c\0\xff=x\0")
    assert started_with(str(tmp_path / "environ"))["A"] == "b=c"

"""What a record looks like on a terminal, and in a pipe."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from agent.cli.printing import Colour, entry

AT, NAME = "2026-03-01 09:12:04", "docker-started"
LONG = (
    "Docker runs with http://proxy.corp.example:3128, started by others, since 09:12:03: "
    "it crashed, and systemd started it"
)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[TextIO, int]]:
    """What is printed, and where it can be read."""
    reads, writes = os.openpty()
    with os.fdopen(writes, "w", buffering=1) as stream:
        yield stream, reads
    os.close(reads)


def shown(monkeypatch: pytest.MonkeyPatch, said: str = LONG, colour: Colour = Colour.BOLD, **environment: str) -> str:
    for name in ("NO_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with terminal() as (stream, reads):
        monkeypatch.setattr(sys, "stdout", stream)
        entry(AT, NAME, said, colour)
        stream.flush()
        text = b""
        while select.select([reads], [], [], 0)[0]:
            text += os.read(reads, 65536)
        monkeypatch.undo()
    return text.decode().replace("\r\n", "\n")


def test_a_record_has_80_columns_and_goes_on_below_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, COLUMNS="80", NO_COLOR="1")

    assert text == (
        "2026-03-01 09:12:04  docker-started    Docker runs with\n"
        "                     http://proxy.corp.example:3128, started by others, since\n"
        "                     09:12:03: it crashed, and systemd started it\n"
    )


@pytest.mark.parametrize(
    ("colour", "told"), [(Colour.RED, "31"), (Colour.YELLOW, "33"), (Colour.BOLD, "1"), (Colour.PLAIN, "0")]
)
def test_its_colour_says_how_much_it_matters(monkeypatch: pytest.MonkeyPatch, colour: Colour, told: str) -> None:
    text = shown(monkeypatch, "Docker runs", colour, COLUMNS="80", TERM="xterm")

    assert text == f"\x1b[2m{AT}\x1b[0m  \x1b[{told}m{NAME}    \x1b[0mDocker runs\n"


def test_whoever_wants_no_colours_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in shown(monkeypatch, NO_COLOR="1")
    assert "\x1b" not in shown(monkeypatch, TERM="dumb")


def test_where_there_is_no_room_it_is_folded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, COLUMNS="30", TERM="xterm")

    assert "\x1b" not in text
    assert text.splitlines()[1].startswith(" " * 21)


def test_a_record_cannot_colour_anything_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in shown(monkeypatch, "portal \x1b[31mred", NO_COLOR="1")


def test_in_a_pipe_it_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    entry(AT, NAME, LONG, Colour.RED)

    assert capsys.readouterr().out == f"{AT}  {NAME}    {LONG}\n"

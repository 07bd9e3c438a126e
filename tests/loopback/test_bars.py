"""The recipes of docs/recipes/bars.md, run as a reader would paste them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from agent.one_pass.picture import State
from agent.service import status_line
from tests.sources import ROOT

from .test_status_watch import AGENT, WITHIN_S, piped, read_line, show

PAGE: Final = (ROOT / "docs/recipes/bars.md").read_text()
RECIPES: Final[Mapping[str, str]] = dict(re.findall(r"(?m)^```(\w+)\n((?:.*\n)*?)```$", PAGE))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With the agent and an i3status on the PATH."""
    show(tmp_path)
    programs = {
        "docker-proxy-agent": f'cd {ROOT}; exec {shlex.join(AGENT)} --root {tmp_path} "$@"',
        "i3status": "echo load 0.1; echo load 0.2",
    }
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def said(home: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{home}/bin:{os.environ['PATH']}"}
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=WITHIN_S
    ).stdout


def test_i3status(home: Path) -> None:
    assert said(home, "sh", "-c", RECIPES["sh"]) == "STEADY corp | load 0.1\nSTEADY corp | load 0.2\n"


def test_a_prompt_of_bash(home: Path) -> None:
    assert said(home, "bash", "-c", f'PS1="$ "; {RECIPES["bash"]} printf %s "${{PS1@P}}"') == "[STEADY corp] $ "


def test_starship(home: Path) -> None:
    custom = tomllib.loads(RECIPES["ini"])["custom"]["docker-proxy"]

    assert said(home, "sh", "-c", custom["command"]) == "STEADY corp\n"


def test_waybar(home: Path) -> None:
    module = json.loads(f"{{{RECIPES['json']}}}")["custom/docker-proxy"]
    words = module["exec"].split()[2:]
    assert words[-1] == "--watch"

    with piped(home, *words[:-1]) as process:
        assert json.loads(read_line(process))["class"] == "steady"
        show(home, state=State.FAILED)
        assert json.loads(read_line(process))["class"] == "failed"


def test_each_state_that_has_a_colour_there_is_one() -> None:
    coloured = set(re.findall(r"#custom-docker-proxy\.(\w+)", RECIPES["css"]))

    assert coloured <= {*(state.value for state in State), "stopped", "unknown"}
    lines = re.findall(r"(?m)^\| (`[A-Z].*?) \|", PAGE)
    assert {word for line in lines for word in re.findall(r"`([A-Z]+)", line)} == {
        *(state.value.upper() for state in State), "STOPPED", "UNKNOWN",
    }  # fmt: skip
    words = {word for line in lines for word in re.findall(r"`[A-Z]+ ([a-z ]+)`", line)}
    assert words == {*status_line.IN_A_WORD.values()}

"""A Python from where the unit runs nothing is refused before anything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.system.no_exec import below

INTERPRETER = Path(os.path.realpath(sys.executable))
UNIT = Path(__file__).parents[2] / "systemd/docker-proxy-agent.service"


def asked(unit: Path) -> subprocess.CompletedProcess[str]:
    """As `make install` asks."""
    argv = [sys.executable, "-B", "-m", "agent.system.no_exec", str(unit)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_a_python_from_where_nothing_is_run_is_refused_with_a_word(tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.write_text(f"[Service]\nNoExecPaths=/nowhere -{INTERPRETER.parent}\n")

    said = asked(unit)

    assert said.returncode == 1
    assert said.stderr.startswith(
        f"make install: {INTERPRETER} lies below {INTERPRETER.parent}, from where the service"
    )
    assert said.stderr.endswith("Try: sudo make install PYTHON=/usr/bin/python3\n")


def test_any_other_is_taken(tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.write_text(f"[Service]\nNoExecPaths={tmp_path}\nExecStart={INTERPRETER}\n")

    assert (asked(unit).returncode, asked(unit).stderr) == (0, "")


@pytest.mark.parametrize("path", ["/home/alice/.pyenv/versions/3.12/bin/python3", "/root/.local/bin/x", "/tmp/x"])
def test_what_the_unit_itself_forbids(path: str) -> None:
    assert below(UNIT.read_text(), ["/opt/x", "/usr/local/bin/y", "/homes/z"]) == ""
    assert below(UNIT.read_text(), ["/opt/x", path]).startswith(f"{path} lies below /")


def test_a_link_is_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/home/alice")

    assert "/home/alice/x lies below /home" in below("NoExecPaths=-/home", [str(tmp_path / "link/x")])

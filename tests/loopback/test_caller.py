"""Whose environment is taken for that of the shell that a command was called from."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources import ROOT

ASKS = "from agent.cli.caller import environment_of_caller as of; print((of() or {}).get('HTTPS_PROXY'))"
THEIRS = "http://of-the-shell.test:1"
CLEAN = "unset HTTPS_PROXY; "


@pytest.mark.parametrize(
    ("callers", "before", "seen"),
    [
        pytest.param(["sudo"], CLEAN, THEIRS, id="sudo"),
        pytest.param(["sudo", "sudo"], CLEAN, THEIRS, id="a-sudo-that-watches-over-the-terminal"),
        pytest.param(["doas"], CLEAN, THEIRS, id="doas"),
        pytest.param(["bash"], "", THEIRS, id="a-shell"),
        pytest.param(["sudo", "bash"], CLEAN, "None", id="a-shell-of-roots"),
        pytest.param(["run0"], "", "None", id="nobodys"),
    ],
)
def test_what_a_docker_command_that_is_typed_there_would_get(
    tmp_path: Path, callers: list[str], before: str, seen: str
) -> None:
    script = f"{before}'{sys.executable}' -c \"{ASKS}\"; :"
    for name in reversed(callers):  # a process is called by its file's name
        program = tmp_path / name
        shutil.copy("/bin/sh", program)
        argv = [str(program), "-c", script]
        script = f"'{program}' -c '{script.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'; :"

    assert typed(argv) == seen


def test_where_nobody_sits_at_a_terminal_it_is_nobodys_shell() -> None:
    assert typed(["/bin/sh", "-c", f"'{sys.executable}' -c \"{ASKS}\"; :"], is_at_terminal=False) == "None"


def typed(argv: list[str], *, is_at_terminal: bool = True) -> str:
    person, terminal = pty.openpty()
    stdin = terminal if is_at_terminal else subprocess.DEVNULL
    try:
        environment = {"PATH": os.environ["PATH"], "HTTPS_PROXY": THEIRS}
        ran = subprocess.run(
            argv, env=environment, cwd=ROOT, stdin=stdin, capture_output=True, text=True, timeout=60, check=True
        )
    finally:
        os.close(person)
        os.close(terminal)
    return ran.stdout.strip()

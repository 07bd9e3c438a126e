"""`plan` as a command: who may ask it."""

from __future__ import annotations

import os
import subprocess
import sys

from .nobody import AS_NOBODY


def plan(*words: str) -> subprocess.CompletedProcess[str]:
    # What nobody may read of it comes before the user changes.
    code = f"import agent.cli.plan\n{AS_NOBODY}"
    argv = [sys.executable, "-W", "error", "-c", code, *words, "plan"]
    return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=os.sep, timeout=60)


def test_it_needs_root_and_says_so_in_one_line() -> None:
    ran = plan()

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "plan: needs root. Try: sudo docker-proxy-agent plan\n"


def test_below_another_root_anybody_may_ask() -> None:
    ran = plan("--root", "/nowhere")

    assert "run it as root" not in ran.stderr
    assert "/nowhere/etc/docker-proxy-agent/config.toml: there is no policy" in ran.stderr

"""`plan` as a command: who may ask it."""

from __future__ import annotations

import os
import subprocess
import sys

NOBODY = 65534
# Of the imports others may read nothing: they come before the user changes.
AS_NOBODY = f"""
import os, sys
import agent.cli.plan
from agent.cli import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
sys.exit(main(sys.argv[1:]))
"""


def plan(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-W", "error", "-c", AS_NOBODY, *words, "plan"]
    return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=os.sep, timeout=60)


def test_it_needs_root_and_says_so_in_one_line() -> None:
    ran = plan()

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "plan: needs root. Try: sudo docker-proxy-agent plan\n"


def test_below_another_root_anybody_may_ask() -> None:
    ran = plan("--root", "/nowhere")

    assert "run it as root" not in ran.stderr
    assert "/nowhere/etc/docker-proxy-agent/config.toml: there is no policy" in ran.stderr

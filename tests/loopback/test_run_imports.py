"""What the service keeps in memory for as long as the machine runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# What only a command needs, and what is only needed when something is wrong or is put back.
NOT_NEEDED = {
    "agent.audit.read",
    "agent.audit.verify",
    "agent.cli.session",
    "agent.cli.words",
    "agent.decide.put_back",
    "agent.cli.demo",
    "agent.cli.install",
    "agent.one_pass.restore",
    "argparse",
    "difflib",
    "email",
    "gettext",
    "http",
    "multiprocessing",
    "pydoc",
    "unittest",
    "urllib.request",
    "xml",
    "zipfile",
}

# As nobody, who cannot have the lock, and for whom none has made a runtime folder: it comes to its end where it would
# begin to serve.
AS_THE_UNIT_STARTS_IT = """
import gc, os, sys
import agent.cli.run
from agent.cli import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
status = main(sys.argv[1:])
print(len(gc.get_objects()))
print("\\n".join(sys.modules))
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("words", "runtime"), [(["run"], "/run"), (["run", "--user"], "/proc/none")], ids=["the-systems", "a-users"]
)
def test_the_service_imports_only_what_it_needs(words: list[str], runtime: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_THE_UNIT_STARTS_IT, *words],
        env={**os.environ, "XDG_RUNTIME_DIR": runtime},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    looked_through, *modules = done.stdout.split()
    assert f"{runtime}/docker-proxy-agent/lock" in done.stderr, done.stderr
    assert "agent.service.service" in modules
    assert not {*modules} & NOT_NEEDED
    assert int(looked_through) < 10_000, "after each pass; with what was imported it would be 35 000"


# 26 MB are little: neither what the agent's own work takes, nor what reads a disk or a terminal.
NOT_THE_RELAYS = NOT_NEEDED | {
    "agent.decide", "agent.docker", "agent.service", "agent.targets", "agent.values.policy", "bz2", "netifaces",
    "random", "shutil", "structlog", "watchdog",
}  # fmt: skip


def test_the_relay_imports_only_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, agent.cli.relay; print('\\n'.join(sys.modules))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert not NOT_THE_RELAYS & {*done.stdout.splitlines()}

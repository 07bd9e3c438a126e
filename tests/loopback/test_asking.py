"""A command where no agent runs: it makes the pass itself, in a root of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.paths import Paths
from agent.policy import Upstream
from agent.refused_passwords import RefusedPasswords
from agent.secret import Secret
from agent.settings import ProxyUrl, proxy
from agent.snapshot import Snapshot

COMMAND = (sys.executable, "-W", "error", "-c", "from agent.cli import main; raise SystemExit(main())")
POLICY = """
[probe]
registry = ["http://127.0.0.1:1/"]
[clients]
users = []
[upstream.office]
url = "http://127.0.0.1:1"
[[network]]
use = ["office"]
"""


@pytest.mark.parametrize(
    ("words", "is_forgotten"),
    [
        pytest.param(["apply"], False, id="a-pass-is-no-reason"),
        pytest.param(["apply", "--now"], True, id="now"),
        pytest.param(["reload"], True, id="reload"),
    ],
)
def test_a_refused_password_is_sent_again_when_a_person_says_so(
    tmp_path: Path, words: list[str], is_forgotten: bool
) -> None:
    paths, url = Paths(tmp_path), proxy("http://127.0.0.1:1")
    assert isinstance(url, ProxyUrl)
    refused = Upstream("office", url, url, username="alice", password=Secret("hunter2"))
    RefusedPasswords(paths.state).add(refused, Snapshot())
    paths.policy.parent.mkdir(parents=True)
    paths.policy.parent.chmod(0o755)
    paths.policy.write_text(POLICY)
    paths.policy.chmod(0o644)

    ran = subprocess.run([*COMMAND, "--root", str(tmp_path), *words], check=False, capture_output=True, text=True)

    assert "Traceback" not in ran.stderr
    assert RefusedPasswords(paths.state).has(refused, Snapshot()) is not is_forgotten

"""One agent at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import Locked
from agent.lock import held

HOLD = """
import sys
from pathlib import Path
from agent.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_agent_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "run/lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"

        with pytest.raises(Locked) as refused, held(lock):
            pass

        assert refused.value.pid == other.pid
        assert f"process {other.pid} is at work" in str(refused.value)
        other.kill()
    with held(lock):
        pass


def test_the_lock_is_free_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path / "lock"):
            pass

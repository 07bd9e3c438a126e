"""A day that is played once, whatever number of tests, and of processes, asks for it."""

from __future__ import annotations

import fcntl
import os

import pytest

from .day_known import Day, play_in


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root, is_played = base / "day", base / "day.played"
    with (base / "day.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_played.exists():
            root.mkdir()
            play_in(root)
            is_played.touch()
    return Day(root)

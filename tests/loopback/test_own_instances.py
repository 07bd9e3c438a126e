"""Who has an instance of one's own, before the code that it runs is removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.cli.install.own_instances import own_instances
from agent.system.lock import is_held_by
from agent.system.passwd import owner_of
from agent.values.paths import Paths

from .test_lock import HOLD, HOLD_OPEN_FILE, held_by, open_to_all

NOBODYS = 4294967290


async def test_whoever_holds_its_lock_is_named_as_sudo_takes_it_and_a_folder_is_nothing(tmp_path: Path) -> None:
    for name in (f"{os.geteuid()}/docker-proxy-agent", "1/docker-proxy-agent", "x/docker-proxy-agent"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "lock").touch()
    lock = tmp_path / str(os.geteuid()) / "docker-proxy-agent" / "lock"

    assert await own_instances(tmp_path) == ()
    with held_by(HOLD, str(lock)):
        assert await own_instances(tmp_path) == (owner_of(os.geteuid(), Paths()),)
    assert await own_instances(tmp_path) == ()
    assert await own_instances(tmp_path / "none") == ()


@pytest.mark.needs_root
async def test_of_a_user_without_a_name_and_nobody_can_hold_anothers(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    for uid in (NOBODYS, NOBODYS - 1):
        folder = tmp_path / str(uid) / "docker-proxy-agent"
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        (folder / "lock").chmod(0o666)
    his, anothers = (tmp_path / str(uid) / "docker-proxy-agent" / "lock" for uid in (NOBODYS, NOBODYS - 1))

    with (
        held_by(HOLD_OPEN_FILE, str(NOBODYS), str(os.O_RDWR), str(his)),
        held_by(HOLD_OPEN_FILE, str(NOBODYS), str(os.O_RDWR), str(anothers)),
    ):
        assert await own_instances(tmp_path) == (f"'#{NOBODYS}'",)


def test_an_open_lock_file_is_not_held(tmp_path: Path) -> None:
    lock, other = tmp_path / "lock", tmp_path / "other"
    lock.touch()
    opens_both = HOLD.replace("with held", f"kept = open({str(lock)!r})\nwith held")

    with held_by(opens_both, str(other)):
        assert not is_held_by(os.geteuid(), lock)
        assert is_held_by(os.geteuid(), other)

"""Where a user's own instance finds the user's service manager, whatever the shell says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.cli.install.install import check_can
from agent.cli.instance import runtime_folder
from agent.values.errors import AgentError
from agent.values.paths import Paths, layout_of_user

UID = os.geteuid()


@pytest.fixture
def usual(tmp_path: Path) -> str:
    """The folder of all users' runtime folders; this user's systemd runs."""
    (tmp_path / f"usual/{UID}/systemd").mkdir(parents=True)
    return str(tmp_path / "usual")


@pytest.mark.parametrize("said", ["", "relative"])
def test_what_cannot_be_this_users_is_not_believed(usual: str, said: str) -> None:
    assert runtime_folder(UID, said, usual) == f"{usual}/{UID}"


def test_another_users_folder_is_not_believed(usual: str, tmp_path: Path) -> None:
    other = UID + 1
    assert runtime_folder(other, str(tmp_path), usual) == f"{usual}/{other}"


def test_one_without_a_manager_gives_way_to_the_usual_one(usual: str, tmp_path: Path) -> None:
    of_a_desktop = tmp_path / "runtime-alice"
    of_a_desktop.mkdir()

    assert runtime_folder(UID, str(of_a_desktop), usual) == f"{usual}/{UID}"
    assert runtime_folder(UID, f"{tmp_path}/gone", usual) == f"{usual}/{UID}"


def test_one_with_a_manager_counts_and_so_does_one_where_there_is_no_other(usual: str, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    (moved / "systemd").mkdir(parents=True)

    assert runtime_folder(UID, str(moved), usual) == str(moved)
    assert runtime_folder(UID, f"{tmp_path}/gone", f"{tmp_path}/none") == f"{tmp_path}/gone"


@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_without_a_service_manager_of_ones_own_one_is_told_to_log_in(what: str, tmp_path: Path) -> None:
    """As after `su alice`. To remove an agent nobody has to start one."""
    nowhere = layout_of_user(UID, "/home/alice", {"XDG_RUNTIME_DIR": str(tmp_path / "gone")})

    with pytest.raises(AgentError) as refused:
        check_can(what, Paths(layout=nowhere))

    assert refused.value.what == f"your own systemd is not running: {tmp_path}/gone/systemd does not exist"
    assert refused.value.remedy == "Log in as this user, not by su or sudo, and run it again"

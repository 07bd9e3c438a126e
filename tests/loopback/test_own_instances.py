"""Who has an instance of one's own, before the code that it runs is removed."""

from __future__ import annotations

import os
from pathlib import Path

from agent.cli.install.own_instances import own_instances
from agent.system.passwd import owner_of
from agent.values.paths import Paths


def test_whoever_has_its_runtime_folder_is_named_as_sudo_takes_it(tmp_path: Path) -> None:
    for name in (
        f"{os.geteuid()}/docker-proxy-agent",
        "4294967290/docker-proxy-agent",
        "1/systemd",
        "x/docker-proxy-agent",
    ):
        (tmp_path / name).mkdir(parents=True)

    assert set(own_instances(tmp_path)) == {owner_of(os.geteuid(), Paths()), "'#4294967290'"}
    assert own_instances(tmp_path / "none") == ()

"""`status -v`: what each place says that shows what Docker runs with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import quick_engine

from .installation import PASSWORD, Installation, is_offline, proxy

pytestmark = pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Installation]:
    with proxy() as port, Installation(tmp_path / "root", port) as made:
        yield made


def test_docker_and_its_file_are_shown_beside_each_other_and_no_password(machine: Installation) -> None:
    assert machine.ran("apply").returncode == 0

    shown = machine.ran("status", "-v")

    assert shown.returncode == 3  # no agent runs: what is real is shown all the same
    text = " ".join(shown.stdout.split())
    url = f"http://•••@127.0.0.1:{machine.port}"
    assert f"daemon.json {machine.daemon_json}: http-proxy={url} https-proxy={url} no-proxy=" in text
    assert f"info: HTTP Proxy: {url} · HTTPS Proxy: {url} · No Proxy: " in text
    assert PASSWORD not in shown.stdout + shown.stderr
    facts = json.loads(machine.ran("status", "-v", "--json").stdout)
    assert [one["where"] for one in facts["sights"]] == ["daemon.json", "process", "docker info"]
    assert facts["sights"][0]["says"]["http-proxy"] == url
    assert "sights" not in json.loads(machine.ran("status", "--json").stdout)


def test_a_docker_that_does_not_run_is_not_asked(machine: Installation) -> None:
    with quick_engine.alone(machine.root):
        quick_engine.stop(machine.root)

    facts = json.loads(machine.ran("status", "-v", "--json").stdout)

    assert facts["sights"][-1]["why_not"] == "it is not running, and is not asked"
    assert facts["sights"][-1]["says"] is None
    assert facts["agrees"] is None

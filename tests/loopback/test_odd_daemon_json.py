"""A daemon.json that is no text, no file, or no end: it costs itself, and neither the drop-in nor a client's file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.docker.config_file import ConfigFile
from agent.one_pass.local_clients import local_clients
from agent.system.files import LARGEST, identity_of

from .dockerd import Dockerd
from .installation import Installation, is_offline, proxy
from .test_reconcile import POLICY, Place, at, policy

LATIN_1 = '{"labels": ["Büro"]}\n'.encode("latin-1")
UTF_16 = '\ufeff{"debug": false}\n'.encode("utf-16-le")

ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "latin-1": (lambda path: path.write_bytes(LATIN_1), "byte 14 is not UTF-8"),
    "utf-16": (lambda path: path.write_bytes(UTF_16), "byte 0 is not UTF-8"),
    "a-folder": (lambda path: path.mkdir(), "is not a regular file"),
    "a-pipe": (os.mkfifo, "is not a regular file"),
    "too-large": (lambda path: path.write_bytes(b" " * (LARGEST + 1)), "is larger than"),
    "no-json": (lambda path: path.write_text('{"debug": true,}\n'), "line 1, column 16: not JSON"),
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with proxy() as found:
        yield found


@pytest.mark.skipif(is_offline(), reason="offline nothing is written")
@pytest.mark.parametrize("odd", ODD)
def test_where_it_is_the_target_the_clients_are_written(tmp_path: Path, port: int, odd: str) -> None:
    put, why = ODD[odd]
    with Installation(tmp_path, port) as laptop:
        laptop.daemon_json.unlink()
        put(laptop.daemon_json)
        before = identity_of(laptop.daemon_json)

        ran = laptop.ran("apply")

        assert ran.returncode == 1
        assert f"{laptop.daemon_json}: {why}" in " ".join(ran.stdout.split())
        written = json.loads(laptop.config_json.read_text())
        assert written["proxies"]["default"]["httpProxy"].endswith("@proxy.office.test:3128")
        assert identity_of(laptop.daemon_json) == before
        assert laptop.starts == 1
        assert laptop.leftovers() == []


@pytest.mark.parametrize("odd", ODD)
async def test_beside_it_drop_in_and_clients_are_written(tmp_path: Path, port: int, odd: str) -> None:
    put, why = ODD[odd]
    laptop = Installation(tmp_path, port)
    (tmp_path / "dockerd").mkdir()
    dockerd = Dockerd(tmp_path / "dockerd")
    await dockerd.start()
    started = dockerd.starts
    put(dockerd.root / "etc/daemon.json")
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.policy = policy(POLICY + '[clients]\nusers = ["alice"]\n')
    place.clients = local_clients(laptop.paths, place.policy, config_file=ConfigFile(laptop.paths))  # type: ignore[assignment]

    done = await place.passed()

    assert any(why in condition.text for condition in done.seen.conditions)
    assert done.is_failed
    assert dockerd.text("etc/dockerd.env") is not None
    assert json.loads(laptop.config_json.read_text())["proxies"]["default"]["httpProxy"] == "http://office:3128"
    assert dockerd.starts == started  # nothing is restarted onto it

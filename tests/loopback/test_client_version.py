"""What the docker client of the machine is asked: real programs on a path of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.docker.client_version import DockerClient


def says(folder: Path, words: str) -> Path:
    program = folder / "docker"
    fresh = folder / "docker.new"  # another file each time, as a package's upgrade brings it
    fresh.write_text(f"#!/bin/sh\necho asked >>{folder}/asked\necho '{words}'\n")
    fresh.chmod(0o755)
    fresh.rename(program)
    return program


def times_asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


@pytest.mark.parametrize(
    ("words", "drops_all"),
    [
        pytest.param("Docker version 20.10.24+dfsg1, build 297e128", "20.10.24+dfsg1", id="debian-12"),
        pytest.param("Docker version 19.03.15, build 99e3ed8919", "19.03.15", id="older"),
        pytest.param("Docker version 23.0.0, build e92dd87", "", id="the-first-that-knows-it"),
        pytest.param("Docker version 26.1.5+dfsg1, build a72d7cd", "", id="debian-13"),
        pytest.param("podman version 4.3.1", "", id="podman"),
        pytest.param("", "", id="nothing"),
    ],
)
async def test_which_client_knows_no_all_proxy(tmp_path: Path, words: str, drops_all: str) -> None:
    says(tmp_path, words)

    assert await DockerClient(str(tmp_path)).drops_all() == drops_all


async def test_it_is_asked_once_for_each_that_is_installed(tmp_path: Path) -> None:
    client = DockerClient(str(tmp_path))
    assert await client.drops_all() == ""
    says(tmp_path, "Docker version 20.10.24, build 1")

    assert [await client.drops_all() for _ in range(3)] == ["20.10.24"] * 3
    assert times_asked(tmp_path) == 1
    says(tmp_path, "Docker version 26.1.5, build 1")
    assert await client.drops_all() == ""
    assert times_asked(tmp_path) == 2

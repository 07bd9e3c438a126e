"""dockerd's arguments, and what systemd makes of ExecStart."""

from __future__ import annotations

import pytest

from agent.docker.process import expanded, flags
from agent.values.dockerd import Flags
from agent.values.settings import Texts


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["dockerd", "-H", "fd://"], Flags()),
        (["dockerd", "--http-proxy=http://p:1"], Flags(Texts(http="http://p:1"), ("--http-proxy",))),
        (["dockerd", "--https-proxy", "http://p:1", "-D"], Flags(Texts(https="http://p:1"), ("--https-proxy",))),
        (["dockerd", "--no-proxy="], Flags(names=("--no-proxy",))),
        (["dockerd", "--no-proxy", "a", "--no-proxy=b"], Flags(Texts(no_proxy="b"), ("--no-proxy",))),
        (["dockerd", "--config-file", "/srv/daemon.json"], Flags(config_file="/srv/daemon.json")),
        (["dockerd", "--live-restore"], Flags(live_restore=True)),
        (["dockerd", "--live-restore=false"], Flags(live_restore=False)),
        (["dockerd", "--http-proxy"], Flags(names=("--http-proxy",))),
    ],
)
def test_the_flags_of_dockerd_are_read(argv: list[str], found: Flags) -> None:
    assert flags(argv) == found


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (["dockerd", "$DOCKER_OPTS"], ("dockerd", "--http-proxy=x", "-D")),
        (["dockerd", "--x=${DOCKER_OPTS}"], ("dockerd", "--x=--http-proxy=x -D")),
        (["dockerd", "$UNKNOWN", "-H"], ("dockerd", "-H")),
        (["dockerd", "a$DOCKER_OPTS"], ("dockerd", "a$DOCKER_OPTS")),
    ],
)
def test_exec_start_is_expanded_as_systemd_does(words: list[str], argv: tuple[str, ...]) -> None:
    assert expanded(words, {"DOCKER_OPTS": "--http-proxy=x -D"}) == argv

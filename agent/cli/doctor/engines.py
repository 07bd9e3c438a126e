"""Which engine `docker` may be speaking to in place of the one that is served.

Pure: the sockets that somebody listens on come in. No home is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.values.others import Other
from agent.values.others import told as told_of

# Where each of them listens, by its documentation; the command that prints what is to be written for it.
_KNOWN: Final = (
    (re.compile(r"/run/user/[0-9]+/docker\.sock"), "a rootless Docker", "docker-proxy-agent env --system rootless"),
    (
        re.compile(r"/.*/\.docker/(?:desktop|run)/docker\.sock"),
        "Docker Desktop",
        "docker-proxy-agent env --system docker-desktop",
    ),
    (re.compile(r"/.*/\.colima/.*docker\.sock"), "colima", "docker-proxy-agent env --system colima"),
    (re.compile(r"/.*/\.rd/docker\.sock"), "Rancher Desktop", "docker-proxy-agent env --system rancher"),
    (re.compile(r"/run/(?:user/[0-9]+/)?podman/podman\.sock"), "Podman", ""),
)


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, and what else is there."""

    unit: str = "docker.service"
    is_there: bool = True  # whether that unit is, and is not masked
    mask: str = ""  # the command that takes away the mask that keeps it from starting; '': there is none
    sockets: tuple[str, ...] = ()  # paths of Unix sockets that somebody listens on
    served: str = "/run/docker.sock"
    others: tuple[Other, ...] = ()  # that run containers where there is no Docker


def judge(seen: Engines) -> Iterator[Finding]:
    found = [(kind, socket, command) for socket in seen.sockets for kind, command in _kind(socket, seen.served)]
    for kind, socket, command in found:
        yield _other(seen, socket, kind, command)
    if not found and seen.mask:
        yield Finding(
            code=Sign.DOCKER_MASKED,
            is_broken=True,
            where=seen.unit,
            what="is masked, so it cannot be started",
            why="docker fails with: Cannot connect to the Docker daemon",
            command=seen.mask,
        )
    elif not found and not seen.is_there and seen.others:
        what, where = told_of(seen.others)
        yield Finding(
            code=Sign.OTHER_ENGINE,
            is_broken=True,
            where=seen.unit,
            what=f"there is no such unit; {what}",
            why="the agent's settings do not reach it",
            command=where,
        )


def _kind(socket: str, served: str) -> Iterable[tuple[str, str]]:
    if socket.removeprefix("/var") == served.removeprefix("/var"):
        return []
    return [(kind, command) for pattern, kind, command in _KNOWN if pattern.fullmatch(socket)][:1]


def _other(seen: Engines, socket: str, kind: str, command: str) -> Finding:
    absent = f"and {seen.unit} is masked" if seen.mask else f"and there is no {seen.unit}"
    beside = f"beside {seen.unit}" if seen.is_there else absent
    return Finding(
        code=Sign.OTHER_ENGINE,
        is_broken=not seen.is_there,
        where=socket,
        what=f"{kind} listens here, {beside}",
        why="a docker client whose context or DOCKER_HOST points there uses that engine's proxy settings, not these",
        command=f"docker context ls shows which one is used. {command or 'See docs/engines.md'}",
    )

"""The agent's own service: whether it runs, from which version, and whether it starts at boot.

Pure. Not known here: how systemd is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.cli.doctor.relay import RelaySeen

_KEEPS: Final = "Docker keeps the settings of the last network"
_NOBODY_TELLS: Final = "nobody tells the relay which upstream to use, and Docker and containers reach nothing"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """It, where a systemd would run it."""

    unit: str = "docker-proxy-agent.service"
    systemctl: str = "systemctl"
    is_running: bool = True
    is_enabled: bool | None = None  # None: not known
    mask: str = ""  # the command that takes away the mask that keeps it from starting; '': there is none
    version: str = ""  # of the one that runs; '': not known
    installed: str = ""  # of the files that are there
    audit_log: str = ""  # '': there is none
    anchors: int | None = None  # of it in systemd's journal; None: not known


def unmasked(systemctl: str, unit: str, file_state: str) -> str:
    """The command that takes away a mask. That of `mask --runtime` lies in /run, where only --runtime looks."""
    return f"sudo {systemctl} unmask {'--runtime ' if file_state == 'masked-runtime' else ''}{unit}"


def judge(
    service: Service | None, *, is_docker_failing: bool = False, relay: RelaySeen | None = None
) -> Iterator[Finding]:
    """None: there is no systemd that would run it. `is_docker_failing`: what Docker has does not work here."""
    if service is None:
        return
    if not service.is_running:
        is_broken = is_docker_failing or (relay is not None and relay.leads_nowhere)
        yield Finding(
            code=Sign.AGENT_DOWN,
            is_broken=is_broken,
            where=service.unit,
            what="is masked, so it cannot be started" if service.mask else "does not run",
            why=_without_it(relay, is_docker_failing=is_docker_failing),
            command=f"Run this, and wait a few seconds: {_start(service)}" if is_broken else _start(service),
        )
        return
    if service.is_enabled is False:
        yield Finding(
            code=Sign.AGENT_NOT_ENABLED,
            is_broken=False,
            where=service.unit,
            what="runs, but does not start at boot",
            why=f"after the next boot {_KEEPS if relay is None else _NOBODY_TELLS}",
            command=f"sudo {service.systemctl} enable {service.unit}",
        )
    if service.version and service.version != service.installed:
        yield Finding(
            code=Sign.AGENT_OLDER,
            is_broken=False,
            where=service.unit,
            what=f"version {service.version} is running, but {service.installed} is installed",
            why="the installed version is not in use yet",
            command=f"sudo {service.systemctl} restart {service.unit}",
        )
    if service.audit_log and service.anchors == 0:
        yield Finding(
            code=Sign.NO_ANCHORS,
            is_broken=False,
            where=service.audit_log,
            what=f"systemd's journal has no anchor of it, though {service.unit} runs",
            why="audit verify cannot detect that root has rewritten the log",
            command="Storage= must not be none: systemd-analyze cat-config "
            f"systemd/journald.conf shows it. Then: sudo {service.systemctl} restart {service.unit}",
        )


def _without_it(relay: RelaySeen | None, *, is_docker_failing: bool) -> str:
    if relay is None:
        return _KEEPS + (", which do not work here" if is_docker_failing else "")
    if relay.leads_nowhere:
        return f"since the last boot {_NOBODY_TELLS}"
    fails = ", which does not work here" if is_docker_failing else ""
    return f"the relay keeps the upstream of the last network{fails}; after the next boot {_NOBODY_TELLS}"


def _start(service: Service) -> str:
    start = f"sudo {service.systemctl} enable --now {service.unit}"
    return f"{service.mask} && {start}" if service.mask else start

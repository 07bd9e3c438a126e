"""The units that evaluate PAC files: written beside the agent's, removed with them. A policy with `pac` starts them.

Not known here: when that is (`one_pass/pac_units.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from agent.cli.install import product, unit_files
from agent.cli.install.systemd import Service
from agent.one_pass.pac_units import SERVICE, SOCKET
from agent.system.files import is_there
from agent.values.paths import Paths

Say = Callable[[str], None]


async def write_units(paths: Paths, command: str, say: Say) -> bool:
    """Whether systemd has to read them."""
    if not paths.is_the_systems:  # a user's own instance evaluates by a child
        return False
    return unit_files.write_units(paths, product.pac_unit_texts(command), say, "for upstreams with `pac`")


async def start_anew(paths: Paths, service: Service) -> None:
    """Once systemd has read what is new: a connection's process is of the new code by itself, the socket is not."""
    if paths.is_the_systems:
        await service.says("try-restart", SOCKET)


async def remove(paths: Paths, service: Service, say: Say) -> None:
    """Nobody asks it any more."""
    if not paths.is_the_systems:
        return
    files = [paths.unit_file(name) for name in (SOCKET, SERVICE)]
    if any(map(is_there, files)):
        await put_away(service)
    await unit_files.remove_files(files, service, say)


async def put_away(service: Service) -> None:
    """Where the units are a package's."""
    await service.says("disable", "--now", "--quiet", SOCKET)
    await service.says("stop", SOCKET)  # one that is masked cannot be disabled

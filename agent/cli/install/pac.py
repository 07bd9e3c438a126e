"""The units that evaluate PAC files: written beside the agent's, removed with them. A policy with `pac` starts them.

Not known here: when that is (`one_pass/pac_units.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from agent.cli.install import product, unit_files
from agent.cli.install.systemd import Service
from agent.one_pass.pac_units import SERVICE, SOCKET
from agent.system.files import is_there
from agent.system.text_files import read_text, write_text
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
    removed = [file for file in (paths.unit_file(SOCKET), paths.unit_file(SERVICE)) if is_there(file)]
    if not removed:
        return
    await put_away(service)
    for file in removed:
        write_text(file, read_text(file), None, None)
    await service.systemctl("daemon-reload")
    say(f"removed      {', '.join(map(str, removed))}")


async def put_away(service: Service) -> None:
    """Where the units are a package's."""
    await service.says("disable", "--now", "--quiet", SOCKET)
    await service.says("stop", SOCKET)  # one that is masked cannot be disabled

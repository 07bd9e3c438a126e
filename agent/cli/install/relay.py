"""The relay's units: written beside the agent's, and removed with them. It runs once the policy asks for it.

Not known here: when the agent starts and stops it (`one_pass/relay_units.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from typing import Final

from agent.cli.install import product, unit_files
from agent.cli.install.systemd import Service
from agent.one_pass.relay import GROUP
from agent.one_pass.relay_units import SERVICE, SOCKET
from agent.system.files import is_there
from agent.system.passwd import logins
from agent.system.programs import run
from agent.system.text_files import read_text, write_text
from agent.values.paths import Paths

Say = Callable[[str], None]
_WITHIN_S: Final = 30.0
_LOG: Final = "/var/log/docker-proxy-relay"


async def write_units(paths: Paths, command: str, say: Say) -> bool:
    """Whether systemd has to read them."""
    if not paths.is_the_systems:  # a user's own Docker is out of its reach
        return False
    return unit_files.write_units(paths, product.relay_unit_texts(command), say, "for `relay.enable`")


async def start_anew(paths: Paths, service: Service, say: Say) -> None:
    """With new code. Its sockets stay open; what is under way goes on for a while."""
    if paths.is_the_systems and await service.says("is-active", "--quiet", SERVICE):
        await service.systemctl("restart", SERVICE)
        say("restarted    the relay")


async def remove(paths: Paths, service: Service, say: Say, *, is_purged: bool) -> bool:
    """Docker and clients do not have its address any more. Returns whether it was in use until now."""
    if not paths.is_the_systems:
        return False
    was_in_use = is_there(paths.relay_drop_in)
    files = [paths.unit_file(name) for name in (SOCKET, SERVICE)]
    if any(map(is_there, files)):
        await _end(service)
    await unit_files.remove_files((paths.relay_drop_in, *files), service, say)
    with contextlib.suppress(OSError):  # it is not there, or holds a drop-in of somebody else's
        paths.relay_drop_in.parent.rmdir()
    await _remove_user(paths, say, is_purged=is_purged)
    return was_in_use


async def put_away(paths: Paths, service: Service, say: Say) -> bool:
    """Where the units are a package's: ended, and where it listens is forgotten. Its log and its user stay.

    Whether it was in use.
    """
    await _end(service)
    drop_in = paths.relay_drop_in
    was_in_use = is_there(drop_in)
    if was_in_use:
        write_text(drop_in, read_text(drop_in), None, None)
        await service.systemctl("daemon-reload")
        say(f"removed      {drop_in}")
    with contextlib.suppress(OSError):  # it is not there, or holds a drop-in of somebody else's
        drop_in.parent.rmdir()
    return was_in_use


async def _end(service: Service) -> None:
    await service.says("disable", "--now", "--quiet", SOCKET)
    await service.says("stop", SOCKET, SERVICE)  # a socket that is masked cannot be disabled, and goes on


async def _remove_user(paths: Paths, say: Say, *, is_purged: bool) -> None:
    """Its log stays unless it is purged, and the user with it, or another one would get the log with the number."""
    log = paths.below(_LOG)
    if is_purged and is_there(log):
        shutil.rmtree(log)
        say(f"removed      {log}")
    with contextlib.suppress(OSError):
        log.rmdir()
    passwd = paths.below("/etc/passwd").read_text(errors="replace")
    if not any(one.name == GROUP for one in logins(passwd)):
        return
    if is_there(log):
        say(f"kept         {log}, and the user {GROUP}, who owns it; to remove both: rm -r {log}; userdel {GROUP}")
        return
    done = await run(("userdel", GROUP), _WITHIN_S, {"PATH": f"{os.defpath}:/usr/sbin:/sbin"})
    say(f"removed      the user {GROUP}" if done.status == 0 else f"kept         the user {GROUP}: {done.complaint}")

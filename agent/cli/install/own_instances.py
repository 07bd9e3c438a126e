"""The users who have an instance of their own: it runs, or their systemd starts it.

They run the same code. A folder that anybody can make counts for nothing: that one runs, says the kernel, by its lock,
and that it is started, says their systemd, asked with their rights. No file of theirs is looked at. Not known here:
those of users who are not logged in and do not linger.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from agent.cli.install.systemd import UNIT
from agent.system.lock import is_held_by
from agent.system.passwd import Login, login_of
from agent.system.programs import run
from agent.values.paths import SYSTEM_LAYOUT, Paths, layout_of_user

_WITHIN_S: Final = 3.0  # their systemd may be stopped, or busy
_AT_ONCE: Final = 8


async def own_instances(folder: Path = Path("/run/user")) -> tuple[str, ...]:
    """Their users, as sudo takes them."""
    try:
        uids = sorted(int(name) for name in os.listdir(folder) if name.isdecimal())  # noqa: PTH208 - no Path for each
    except OSError:  # there is none
        return ()
    turns = asyncio.Semaphore(_AT_ONCE)
    has_one = await asyncio.gather(*(_has_one(uid, folder / str(uid), turns) for uid in uids))
    return tuple(_as_sudo_takes(uid) for uid, is_there in zip(uids, has_one, strict=True) if is_there)


async def _has_one(uid: int, runtime: Path, turns: asyncio.Semaphore) -> bool:
    lock = runtime / Path(SYSTEM_LAYOUT.runtime).name / "lock"
    if is_held_by(uid, lock):
        return True
    async with turns:
        return await _is_enabled(uid, runtime)


async def _is_enabled(uid: int, runtime: Path) -> bool:
    """By its number: a name service may take time."""
    login = _login(uid)
    gid = login.gid if login is not None else uid
    as_user = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups") if os.geteuid() == 0 else ()
    reached_by = layout_of_user(uid, "/", {"XDG_RUNTIME_DIR": str(runtime)}).environment
    try:
        asked = (*as_user, "systemctl", "--user", "is-enabled", "--quiet", UNIT)
        return (await run(asked, _WITHIN_S, reached_by, is_anothers=True)).status == 0
    except (OSError, TimeoutError):  # it does not say so
        return False


def _as_sudo_takes(uid: int) -> str:
    login = _login(uid)
    return login.name if login is not None else f"'#{uid}'"


def _login(uid: int) -> Login | None:
    return login_of(uid, Paths())

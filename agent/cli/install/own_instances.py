"""The users who have an instance of their own, as far as that shows: by its runtime folder, while they are logged in.

They run the same code. Not known here: those of users who are not logged in, for homes are not looked into.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.system.files import is_folder
from agent.system.passwd import login_of
from agent.values.paths import SYSTEM_LAYOUT, Paths


def own_instances(folder: Path = Path("/run/user")) -> tuple[str, ...]:
    """Their users, as sudo takes them."""
    own = Path(SYSTEM_LAYOUT.runtime).name
    try:
        uids = sorted(int(name) for name in os.listdir(folder) if name.isdecimal())  # noqa: PTH208 - no Path for each
    except OSError:  # there is none
        return ()
    return tuple(_as_sudo_takes(uid) for uid in uids if is_folder(folder / str(uid) / own))


def _as_sudo_takes(uid: int) -> str:
    login = login_of(uid, Paths())
    return login.name if login is not None else f"'#{uid}'"

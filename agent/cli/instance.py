"""Whose instance a command is about: the system's, or with `--user` the caller's own, for a Docker of one's own."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

from agent.system.passwd import login_of
from agent.values.errors import AgentError
from agent.values.paths import Layout, Paths, layout_of_user


def of_the_caller(*, asks_systemd: bool = True) -> Paths:
    """The paths of the caller's own instance.

    A shell may have other XDG_… than the user's service manager, which starts the agent and Docker: the manager's
    count. `asks_systemd`: not where we were started by it, or where the runtime folder alone matters.
    """
    uid = os.geteuid()
    if uid == 0:
        raise AgentError(
            "--user", "root's instance is the system's", "Run it as the user who owns that Docker, without sudo"
        )
    found = _layout(uid, os.environ)
    # Imported only now: `status` does without.
    said = importlib.import_module("agent.cli.manager").started_with(found) if asks_systemd else None
    return Paths(layout=found if said is None else _layout(uid, said))


def _layout(uid: int, environment: Mapping[str, str]) -> Layout:
    home = environment.get("HOME", "")
    if not home and (login := login_of(uid, Paths())) is not None:
        home = login.home
    if not home:  # of an account of a name service, say: no name service is asked, for it may take time
        raise AgentError("--user", f"user {uid} has no home in /etc/passwd", "Set HOME")
    runtime = runtime_folder(uid, environment.get("XDG_RUNTIME_DIR", ""))
    return layout_of_user(uid, home, {**environment, "XDG_RUNTIME_DIR": runtime})


def runtime_folder(uid: int, said: str, usual: str = "/run/user") -> str:
    """Where the user's service manager is. `said`: by the shell; it may be another user's (su), or of a desktop."""
    own = f"{usual}/{uid}"
    if not said.startswith("/") or _owner(said) not in (None, uid):
        return own
    return own if _owner(f"{said}/systemd") is None and _owner(f"{own}/systemd") == uid else said


def _owner(folder: str) -> int | None:
    try:
        return os.stat(folder).st_uid  # noqa: PTH116 - `status` does without pathlib's
    except OSError:
        return None

"""status.json: what the running agent shows of itself, readable by everybody, redacted, replaced whole.

It is written only when something in it has changed: an idle pass writes nothing. `status` reads it and talks to nobody,
and answers at once: so nothing is imported here that makes or plans a pass. Not known here: what is shown of a pass
(`status.py`), and how it reads for a person (`cli/status.py`).
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.system.files import read_file, replace_file
from agent.system.process_start import started
from agent.values.errors import TargetFailed
from agent.values.shown import plain

PUBLIC = 0o644
KEPT: Final = "kept"  # the state of a target while nothing is chosen: it says what it said before


class State(enum.Enum):
    """What the agent is about, the gravest first."""

    FAILED = "failed"
    WORKING = "working"
    DEFERRED = "deferred"
    WAITING = "waiting"  # for a portal to be passed, or for anything to be reachable
    OFFLINE = "offline"
    IDLE = "idle"  # without a policy, or paused
    STEADY = "steady"


class PolicyStatus(msgspec.Struct, frozen=True):
    """Which policy is in force."""

    path: str
    loaded: str | None = None  # when, RFC 3339
    error: str | None = None  # why the file as it stands is not


class Status(msgspec.Struct, frozen=True, omit_defaults=False):
    """status.json."""

    version: str
    pid: int
    started: int | None  # clock ticks after boot: with the pid it tells this process from every other one
    state: State
    policy: PolicyStatus
    # Plain; msgspec knows no recursive type.
    conditions: tuple[Any, ...] = ()
    network: Any = None
    upstream: Any = None
    verdicts: Any = None
    settings: Any = None
    docker: Any = None
    targets: tuple[Any, ...] = ()
    at: str = ""  # when this was so, RFC 3339
    last: tuple[Any, ...] = ()  # events, the last first


class Shown(msgspec.Struct, frozen=True):
    """A status as it was found."""

    status: Status
    is_running: bool  # whether the agent that shows it still does


class StatusFile:
    """Where it is shown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: Status | None = None

    def show(self, status: Status) -> None:
        if self._last is not None and _lasting(status) == _lasting(self._last):
            return  # a pass that asked nobody and changed nothing writes nothing
        data = msgspec.json.format(msgspec.json.encode(plain(msgspec.to_builtins(status))), indent=2) + b"\n"
        replace_file(self.path, data, expected=read_file(self.path), mode=PUBLIC)
        self._last = status


def _lasting(status: Status) -> Status:
    return msgspec.structs.replace(status, at="")


def read(path: Path) -> Shown | None:
    """What an agent shows, be it one that runs or the last one; None if there is nothing to be read."""
    try:
        found = read_file(path)
        status = msgspec.json.decode(found.data, type=Status) if found else None
    except (TargetFailed, msgspec.DecodeError):
        return None
    return None if status is None else Shown(status, status.started == started(status.pid))

"""status.json: what the running agent shows of itself, readable by everybody, redacted, replaced whole.

It is written only when something in it has changed: an idle pass writes nothing. `status` reads it and talks to nobody,
and answers at once: so nothing is imported here that makes or plans a pass. Not known here: what is shown of a pass
(`status.py`), and how it reads for a person (`cli/status.py`).
"""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import TargetFailed
from agent.files import read_file, replace_file
from agent.process_start import started
from agent.shown import plain

PUBLIC = 0o644


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


class StatusFile:
    """Where it is shown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: Status | None = None

    def show(self, status: Status) -> None:
        if self._last is not None and _without_ms(status) == _without_ms(self._last):
            return  # timings differ at every probe, and an idle pass writes nothing
        data = msgspec.json.format(msgspec.json.encode(plain(msgspec.to_builtins(status))), indent=2) + b"\n"
        replace_file(self.path, data, expected=read_file(self.path), mode=PUBLIC)
        self._last = status


def _without_ms(status: Status) -> Status:
    verdicts = status.verdicts and {name: found["verdict"] for name, found in status.verdicts.items()}
    return msgspec.structs.replace(status, verdicts=verdicts)


def read(path: Path) -> tuple[Status, float] | None:
    """What the running agent shows, and since when (seconds of the wall clock); None if none runs."""
    try:
        found = read_file(path)
        status = msgspec.json.decode(found.data, type=Status) if found else None
    except (TargetFailed, msgspec.DecodeError):
        return None
    if found is None or status is None or status.started != started(status.pid):
        return None
    return status, found.identity.mtime_ns / 1e9


def now_text() -> str:
    """RFC 3339, in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

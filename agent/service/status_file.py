"""status.json: what the running agent shows. Everybody may read it; it is redacted and replaced atomically.

It is written only when something in it has changed: an idle pass writes nothing. `status` only reads it and must be
fast, so nothing is imported here that makes or plans a pass. Not known here: how a pass is drawn
(`one_pass/drawing.py`), and how it reads for a person (`status_page.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from agent import __version__
from agent.one_pass.picture import Picture, public
from agent.system.clock import now_text
from agent.system.files import read_file, replace_file
from agent.system.process_start import started
from agent.values.errors import TargetFailed
from agent.values.shown import plain

PUBLIC: Final = 0o644


class PolicyPart(msgspec.Struct, frozen=True):
    """One file of a policy, and what stands in it."""

    file: str
    upstreams: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()  # the others


class PolicyStatus(msgspec.Struct, frozen=True):
    """Which policy the agent uses."""

    path: str
    loaded: str | None = None  # when, RFC 3339; None: it uses none
    error: str | None = None  # what is wrong with the file as it stands
    files: tuple[PolicyPart, ...] = ()  # of the policy in use, in the order in which they count


class EventShown(msgspec.Struct, frozen=True):
    """Something that happened, in a few words."""

    at: str  # RFC 3339
    text: str


class CountersShown(msgspec.Struct, frozen=True, kw_only=True):
    """How often what happened, by all agents that this machine had, and how long."""

    restarts: dict[str, int]  # of Docker, by cause
    starts_by_others: int
    rollbacks: int
    corrections: int
    unreachable_s: float
    deferred_since: str | None  # RFC 3339; None: no restart waits


class Status(Picture, frozen=True, kw_only=True):
    """status.json: the picture of the last pass, and whose it is."""

    version: str
    pid: int
    started: int | None  # clock ticks after boot: with the pid it tells this process from every other one
    policy: PolicyStatus
    at: str = ""  # when this was so, RFC 3339
    last: tuple[EventShown, ...] = ()  # the last first
    counters: CountersShown | None = None  # None: not counted


def status_of(
    picture: Picture,
    policy: PolicyStatus,
    last: tuple[EventShown, ...],
    counters: CountersShown | None = None,
) -> Status:
    """What this process shows now."""
    return Status(
        **msgspec.structs.asdict(public(picture)),
        version=__version__,
        pid=os.getpid(),
        started=started(os.getpid()),
        policy=policy,
        at=now_text(),
        last=last,
        counters=counters,
    )


class StatusFound(msgspec.Struct, frozen=True):
    """A status as it was found."""

    status: Status | None  # None: another version wrote it, and this one cannot read it
    version: str  # that wrote it
    is_running: bool  # whether the agent that shows it still does


class StatusFile:
    """The file, as the running agent writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: Status | None = None

    def show(self, status: Status) -> None:
        if self._last is not None and _lasting(status) == _lasting(self._last):
            return  # an idle pass writes nothing
        data = msgspec.json.format(msgspec.json.encode(plain(msgspec.to_builtins(status))), indent=2) + b"\n"
        replace_file(self.path, data, expected=read_file(self.path), mode=PUBLIC)
        self._last = status


def _lasting(status: Status) -> Status:
    return msgspec.structs.replace(status, at="")


class _Writer(msgspec.Struct, frozen=True):
    """The fields that every version of status.json has."""

    version: str
    pid: int
    started: int | None


def read(path: Path) -> StatusFound | None:
    """What the running agent shows, or the last one showed. None if there is no such file."""
    try:
        found = read_file(path)
        writer = msgspec.json.decode(found.data, type=_Writer) if found else None
    except (TargetFailed, msgspec.DecodeError):
        return None
    if found is None or writer is None:
        return None
    is_running = writer.started == started(writer.pid)
    try:
        status = msgspec.json.decode(found.data, type=Status)
    except msgspec.ValidationError:
        return StatusFound(None, writer.version, is_running)
    return StatusFound(status, writer.version, is_running)


def read_running(path: Path) -> Status | None:
    """What the running agent shows. None: none runs, or this version cannot read what it shows."""
    found = read(path)
    return found.status if found is not None and found.is_running else None


def is_agent_running(path: Path) -> bool:
    """Whether the agent that writes this file is running, whatever its version."""
    found = read(path)
    return found is not None and found.is_running

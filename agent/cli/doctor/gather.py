"""Finds what `bundle.py` puts into one file, besides what is judged. Changes nothing.

Not known here: what of it is shown.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent import __version__
from agent.audit.read import Legible, records
from agent.audit.system_journal import UNIT
from agent.cli.doctor.bundle import Bundle, places_in, places_of, users_found
from agent.cli.doctor.facts import Facts
from agent.cli.doctor.finding import DoctorShown
from agent.decide.effective import effective, prospective
from agent.docker.sights import sights
from agent.docker.which import serving_by
from agent.one_pass.picture import Role
from agent.one_pass.world import TheWorld
from agent.service.sights_page import sights_shown
from agent.service.status_file import Status, read
from agent.system.programs import run
from agent.system.systemd import manager
from agent.system.text_files import read_text
from agent.targets.refused import TextRefused
from agent.values.dockerd import Reality
from agent.values.errors import AgentError, TargetFailed, UnitFailed
from agent.values.machine_text import lines
from agent.values.paths import Paths
from agent.values.policy import Policy

_RECORDS: Final = 200
_LINES: Final = 300
_JOURNAL_S: Final = 30.0  # a journal of many gigabytes on a slow disk
# Of no variable more than its name: `Environment` is not asked for, and the proxies are in `settings`.
_PROPERTIES: Final = (
    "Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "DropInPaths", "NeedDaemonReload",
    "EnvironmentFiles", "Type", "KillMode", "Restart", "NRestarts", "Result", "StartLimitBurst",
    "StartLimitIntervalUSec", "ActiveEnterTimestamp", "MainPID", "TriggeredBy", "RequiredBy", "BoundBy",
)  # fmt: skip
# Their sentences tell of the place, and of what the policy says of it.
_TELL_OF_PLACES: Final = frozenset({"network-changed", "policy-loaded", "policy-rejected"})


class _Line(msgspec.Struct, frozen=True):
    """One of journald's, as `journalctl --output=json` prints it."""

    at: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")
    said: Any = msgspec.field(name="MESSAGE", default="")
    event: str = msgspec.field(name="DPA_EVENT", default="")
    interfaces: str = msgspec.field(name="DPA_INTERFACES", default="")


async def gathered(paths: Paths, *, policy: Policy | None, facts: Facts, found: DoctorShown, is_full: bool) -> Bundle:
    """`found`: what was judged of `facts`."""
    unseen: list[str] = []
    reality = facts.written.reality
    shown = read(paths.status)
    status = shown.status if shown is not None else None
    kept = tuple(_records(paths, unseen))
    said = await _journal(paths, unseen)
    here = await TheWorld(paths, policy or Policy()).host.see()
    of_records = [one["facts"] for one in kept]
    of_journal = [{"interfaces": _decoded(one.interfaces)} for one in said]
    return Bundle(
        versions=await _versions(paths, reality),
        doctor=found,
        status=msgspec.to_builtins(status) if status is not None else {},
        policy=policy,
        settings=await _settings(paths, policy, reality),
        units=await _units(paths, reality, unseen),
        audit=kept,
        journal=tuple(_told(one, is_full=is_full) for one in said),
        unseen=tuple(unseen),
        users=frozenset({*_users(status), *users_found(facts, kept)}),
        places=frozenset({*places_of(here), *places_in(of_records), *places_in(of_journal)}),
    )


def _records(paths: Paths, unseen: list[str]) -> Iterator[Mapping[str, Any]]:
    try:
        last = deque((one for one in records(paths.audit_log) if isinstance(one, Legible)), _RECORDS)
    except OSError as error:
        unseen.append(f"{paths.audit_log}: {error.strerror}")
        return
    for one in last:
        entry = msgspec.to_builtins(one.entry)
        yield {name: value for name, value in entry.items() if name not in ("hash", "prev", "boot_id", "host")}


async def _journal(paths: Paths, unseen: list[str]) -> list[_Line]:
    if not paths.is_real:
        return []
    unit = "--unit" if paths.layout.user is None else "--user-unit"
    try:
        done = await run(
            ["journalctl", "--quiet", "--no-pager", "--output=json", f"--lines={_LINES}", unit, UNIT], _JOURNAL_S
        )
    except (OSError, TimeoutError) as error:
        unseen.append(f"the journal of {UNIT}: {str(error) or 'no answer in time'}")
        return []
    if done.status:
        unseen.append(f"the journal of {UNIT}: {done.complaint}")
    found = []
    for line in lines(done.out.decode(errors="replace")):
        try:
            found.append(msgspec.json.decode(line, type=_Line))
        except msgspec.MsgspecError:  # a program that the unit started wrote something else
            continue
    return found


def _told(one: _Line, *, is_full: bool) -> str:
    at = f"{dt.datetime.fromtimestamp(int(one.at) / 1e6, dt.UTC):%Y-%m-%dT%H:%M:%SZ}" if one.at.isdecimal() else ""
    if not is_full and one.event in _TELL_OF_PLACES:
        return f"{at} {one.event}"
    return f"{at} {one.said if isinstance(one.said, str) else '(bytes)'}"


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.MsgspecError:  # cut
        return None


def _users(status: Status | None) -> Iterator[str]:
    yield os.environ.get("SUDO_USER", "")
    for target in status.targets if status is not None else ():
        if target.role is Role.CLIENT:
            yield target.name


async def _versions(paths: Paths, reality: Reality | None) -> dict[str, str]:
    engine = reality.engine if reality is not None else None
    return {
        "agent": __version__,
        "python": platform.python_version(),
        "system": _system(paths),
        "kernel": platform.release(),
        "systemd": await _systemd(paths),
        "docker": engine.version if engine is not None else "",
        "api": ".".join(map(str, engine.api)) if engine is not None else "",
    }


def _system(paths: Paths) -> str:
    try:
        text = read_text(paths.below("/etc/os-release")) or ""
    except TargetFailed:
        return ""
    return next((line.partition("=")[2].strip('"') for line in lines(text) if line.startswith("PRETTY_NAME=")), "")


async def _systemd(paths: Paths) -> str:
    systemd = manager(paths)
    try:
        return lines(await systemd.call("--version"))[0] if systemd is not None else ""
    except UnitFailed:
        return ""


async def _settings(paths: Paths, policy: Policy | None, reality: Reality | None) -> dict[str, Any]:
    docker = (policy or Policy()).docker
    try:
        seen: Mapping[str, Any] = sights_shown(await sights(serving_by(paths, docker), docker))
    except AgentError as error:
        seen = {"why_not": str(error)}
    if reality is None:
        return {**seen}
    try:
        next_start: Any = prospective(reality)
    except TextRefused as error:
        next_start = str(error)
    return {"effective": effective(reality), "prospective": next_start, **seen}


async def _units(paths: Paths, reality: Reality | None, unseen: list[str]) -> dict[str, Mapping[str, str]]:
    systemd = manager(paths)
    if systemd is None:
        return {}
    name = reality.unit_name if reality is not None else paths.layout.service
    units = (name, f"{name.removesuffix('.service')}.socket", UNIT)
    try:
        shown = await systemd.show(_PROPERTIES, units)
    except UnitFailed as error:
        unseen.append(str(error))
        return {}
    return dict(zip(units, shown, strict=False))

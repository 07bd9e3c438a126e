"""Looks at what `doctor` judges, and records it as values. Changes nothing, and never starts a Docker that is stopped.

Put together here: what a pass finds (`look_by_a_pass.py`), what systemd says (`look_at_units.py`), what the proxies'
names and ports lead to (`look_at_proxies.py`), and files. Not known here: what any of it means (`facts.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.audit.facts_read import who
from agent.audit.read import Filter, Legible, moment_of, records
from agent.cli.doctor.clock import Clock
from agent.cli.doctor.engines import Engines
from agent.cli.doctor.facts import Facts
from agent.cli.doctor.look_at_proxies import hosts_asked, local_proxies, proxies_named, running_with
from agent.cli.doctor.look_at_units import agents_service, command_to_unmask, docker_unit
from agent.cli.doctor.look_by_a_pass import passed
from agent.cli.doctor.room import Room
from agent.cli.doctor.settings import Written
from agent.cli.doctor.told import Pause
from agent.cli.doctor.trust import Rejected, Trust
from agent.docker.engine import EngineSocket
from agent.docker.process import environment
from agent.service.status_file import read_running
from agent.service.status_page import still_used
from agent.system.clock import SYSTEM_CLOCK
from agent.system.files import is_folder
from agent.system.process_start import started
from agent.system.text_files import read_text
from agent.values.condition import Code, Condition
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError, TargetFailed
from agent.values.events import Event
from agent.values.machine_text import lines, words
from agent.values.paths import Paths
from agent.values.policy import Policy

_LISTENS: Final = "00010000"  # __SO_ACCEPTCON, in the fourth column of /proc/net/unix
_OWN_CAS: Final = ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors")  # Debian's, Fedora's
_TIMES: Final = ("/var/lib/systemd/timesync/clock", "/var/lib/dpkg/status")  # systemd-timesyncd.service(8)
_ENV_LIKE: Final = ("/etc/sysconfig/docker", "/etc/default/docker")  # Fedora's, Debian's
# What only the running agent knows: a pass by itself meets none of them.
_OF_THE_SERVICE: Final = frozenset(
    {
        Code.FILES_UNWATCHED, Code.GAVE_UP, Code.AUDIT_UNWRITABLE, Code.NOT_FINISHED, Code.QUARANTINED, Code.UNSTEADY,
        Code.CONTAINERS_LOST, Code.CONTAINERS_STALE, Code.CONTAINERS_CUT_OFF, Code.RELAY_FAILED, Code.RELAY_NOT_KEPT,
        Code.INTERNAL_ERROR,
    }
)  # fmt: skip
_ABSENT: Final = frozenset({Phase.ABSENT, Phase.MASKED})


async def looked(paths: Paths, policy: Policy | None, refused: Sequence[Condition]) -> Facts:
    """`policy`: None where there is none that is valid; `refused` says why."""
    found = await passed(paths, policy)
    reality, policy = found.reality, found.policy
    said = (*refused, *found.conditions)
    runs_with, mask = running_with(reality), await command_to_unmask(paths, reality)
    asked = tuple(proxies_named(policy, runs_with))
    return Facts(
        policy=str(paths.policy),
        conditions=tuple(dict.fromkeys((*said, *_of_the_service(paths)))),
        is_docker_failing=found.is_docker_failing,
        is_led_out=found.is_led_out,
        pause=await asyncio.to_thread(_pause, paths) if any(one.code is Code.PAUSED for one in said) else Pause(),
        still_used=_still_used(paths),
        waiting=found.waiting,
        refused=found.passwords,
        proxies=await asyncio.to_thread(local_proxies, paths, asked, found.relay.port if found.relay else None),
        hosts=await hosts_asked(asked, policy, runs_with),
        engines=_engines(paths, policy, reality, mask) if reality is not None else Engines(),
        compose=found.compose,
        relay=found.relay,
        seats=found.seats,
        trust=_trust(paths, reality, found.rejected),
        clock=_clock(paths),
        written=Written(
            reality=reality,
            environment=_environment(reality),
            go=await _go(paths, policy, reality),
            env_like=tuple(_env_like(paths)),
        ),
        unit=await docker_unit(paths, reality, found.kept_down_by),
        homes=found.left,
        clients=found.clients,
        logins=found.logins,
        needed=found.needed,
        shells=found.shells,
        pacs=found.pacs,
        unknown_to_containers=found.unknown_to_containers,
        service=await agents_service(paths),
        rooms=await asyncio.to_thread(_rooms, paths),
        unseen=tuple(found.unseen),
    )


def _still_used(paths: Paths) -> str:
    status = read_running(paths.status)
    return still_used(status) if status is not None else ""


def _of_the_service(paths: Paths) -> Iterator[Condition]:
    if (status := read_running(paths.status)) is not None:
        yield from (one for one in status.conditions if one.code in _OF_THE_SERVICE)


def _pause(paths: Paths) -> Pause:
    """As the last record of one says."""
    asked = Filter(events=frozenset({Event.PAUSED.value}))
    try:
        last = deque((one.entry for one in records(paths.audit_log, asked) if isinstance(one, Legible)), 1)
    except OSError:  # it is said without
        return Pause()
    at = moment_of(last[0]) if last else None
    if at is None:
        return Pause()
    by = last[0].by or {}
    return Pause(at=f"{at.astimezone():%Y-%m-%d %H:%M}", by=who(by) if by else "", whose=str(by.get("claimed") or ""))


def _rooms(paths: Paths) -> tuple[Room, ...]:
    """Where the agent writes, and where Docker has its settings."""
    folders = (paths.policy.parent, paths.state, paths.audit_log.parent, paths.runtime, paths.daemon_json.parent)
    found = []
    for folder in filter(is_folder, folders):
        with contextlib.suppress(OSError):  # all else is still looked at
            found.append(_room(folder))
    return tuple(found)


def _room(folder: Path) -> Room:
    free = os.statvfs(folder)
    inodes = free.f_ffree if free.f_files else None  # btrfs counts none
    return Room(folder=str(folder), file_system=folder.stat().st_dev, free=free.f_bfree * free.f_frsize, inodes=inodes)


def _env_like(paths: Paths) -> Iterator[tuple[str, str]]:
    if paths.layout.user is not None:  # these are for the system's Docker
        return
    for path in _ENV_LIKE:
        with contextlib.suppress(TargetFailed):  # nothing is known of one that cannot be read
            text = read_text(paths.below(path))
            if text is not None:
                yield path, text


def _environment(reality: Reality | None) -> tuple[str, ...]:
    """The names alone."""
    found = environment(reality.process) if reality is not None and reality.process else None
    return tuple(sorted(name for name, value in (found or {}).items() if value))


async def _go(paths: Paths, policy: Policy, reality: Reality | None) -> str:
    """Only a Docker that has answered is asked: its socket would start another one."""
    if reality is None or reality.engine is None:
        return ""
    engine = EngineSocket.of(paths, policy.docker)
    with contextlib.suppress(AgentError):  # it may be stopping just now
        said = (await engine.ask("/version", dict) or {}).get("GoVersion")
        return said if isinstance(said, str) else ""
    return ""


def _trust(paths: Paths, reality: Reality | None, rejected: tuple[Rejected, ...]) -> Trust:
    pid = reality.process if reality is not None else 0
    ticks = started(pid) if pid else None
    since = 0.0 if ticks is None else time.time() - SYSTEM_CLOCK.boottime_s() + ticks / os.sysconf("SC_CLK_TCK")
    ca_since, ca_file = max((one for folder in _OWN_CAS for one in _files(paths.below(folder))), default=(0.0, ""))
    unit = reality.unit_name if reality is not None else paths.layout.service
    return Trust(rejected=rejected, unit=unit, dockerd_since_s=since, ca_file=ca_file, ca_since_s=ca_since)


def _clock(paths: Paths) -> Clock:
    """The latest of the times that are known to have been; a file of ours was made before it was installed."""
    known = [(_changed(path), str(path)) for path in (*map(paths.below, _TIMES), Path(__file__))]
    known_s, known_by = max(known)
    return Clock(now_s=time.time(), known_s=known_s, known_by=known_by)


def _files(folder: Path) -> Iterator[tuple[float, str]]:
    """The certificates in it, each with the time when it came here: `cp -p` keeps the one when it was changed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".crt", ".pem")):
                yield entry.stat().st_ctime, entry.path


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _engines(paths: Paths, policy: Policy, reality: Reality, mask: str) -> Engines:
    return Engines(
        unit=reality.unit_name,
        mask=mask,
        is_there=reality.unit.phase not in _ABSENT,
        sockets=listening(Path("/proc/net/unix").read_text(errors="replace")) if paths.is_real else (),
        served=paths.socket(policy.docker.socket),
        others=reality.others,
    )


def listening(table: str) -> tuple[str, ...]:
    """The paths of Unix sockets that somebody listens on, from /proc/net/unix."""
    rows = (words(line) for line in lines(table))
    return tuple(sorted({row[7] for row in rows if len(row) > 7 and row[3] == _LISTENS and row[7].startswith("/")}))

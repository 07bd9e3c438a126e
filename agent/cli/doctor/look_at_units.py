"""What systemd says of Docker's unit and of the agent's own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from agent import __version__
from agent.audit import system_journal
from agent.cli.doctor.service import Service, unmasked
from agent.cli.doctor.units import Starts, Unit
from agent.service.status_file import read
from agent.system.files import is_there
from agent.system.programs import run
from agent.system.systemd import Systemd, manager
from agent.values.dockerd import Phase, Reality
from agent.values.errors import UnitFailed
from agent.values.machine_text import lines
from agent.values.paths import Paths

FILE_STATE: Final = "UnitFileState"
_STARTING: Final = "7d4958e842da4a758f6c1cdc7b36dcc5"  # SD_MESSAGE_UNIT_STARTING, sd-messages.h
_JOURNAL_S: Final = 10.0
_AGENT: Final = "docker-proxy-agent.service"
MASKED: Final = frozenset({"masked", "masked-runtime"})
_NOT_AT_BOOT: Final = MASKED | {"disabled"}


async def docker_unit(paths: Paths, reality: Reality | None, kept_down_by: str) -> Unit:
    systemd = manager(paths)
    if systemd is None or reality is None:
        return Unit(reality=reality, kept_down_by=kept_down_by)
    return Unit(
        reality=reality,
        needs_reload=await property_of(systemd, reality.unit_name, "NeedDaemonReload") == "yes",
        kept_down_by=kept_down_by,
        starts=await _starts(paths, systemd, reality.unit_name),
        last_words=await _last_words(reality) if reality.unit.phase is Phase.BROKEN else "",
    )


async def _starts(paths: Paths, systemd: Systemd, unit: str) -> Starts:
    most = await property_of(systemd, unit, "StartLimitBurst")
    within = await property_of(systemd, unit, "StartLimitIntervalUSec")  # "1min", and whatever journalctl takes
    if not most.isdecimal() or not within or within in ("0", "infinity"):
        return Starts()
    named = "UNIT" if paths.layout.user is None else "USER_UNIT"
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--since=-{within}"]
    lately = 0
    with contextlib.suppress(OSError, TimeoutError):  # no journal: it is not known how often
        done = await run([*command, f"MESSAGE_ID={_STARTING}", f"{named}={unit}"], _JOURNAL_S)
        lately = len(lines(done.out.decode(errors="replace")))
    return Starts(most=int(most), lately=lately)


async def _last_words(reality: Reality) -> str:
    """Of its last start: a line of an earlier one would mislead."""
    if not reality.unit.invocation:
        return ""
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=1"]
    with contextlib.suppress(OSError, TimeoutError):  # no journal: it is told without
        done = await run([*command, f"_SYSTEMD_INVOCATION_ID={reality.unit.invocation}"], _JOURNAL_S)
        said = lines(done.out.decode(errors="replace"))
        return said[-1] if said else ""
    return ""


async def agents_service(paths: Paths) -> Service | None:
    systemd = manager(paths)
    if systemd is None:
        return None
    shown = read(paths.status)
    is_running = shown is not None and shown.is_running
    at_boot = await property_of(systemd, _AGENT, FILE_STATE)
    return Service(
        unit=_AGENT,
        systemctl=paths.layout.systemctl,
        is_running=is_running,
        is_enabled=at_boot not in _NOT_AT_BOOT if at_boot else None,
        mask=unmasked(paths.layout.systemctl, _AGENT, at_boot) if at_boot in MASKED else "",
        version=shown.version if shown is not None and is_running else "",
        installed=__version__,
        audit_log=str(paths.audit_log) if is_there(paths.audit_log) else "",
        anchors=await asyncio.to_thread(_anchors, paths) if is_running and paths.is_real else None,
    )


def _anchors(paths: Paths) -> int | None:
    """In the journal; None: it cannot be read."""
    logs = system_journal.ask(paths.layout.user)
    return None if logs is None else sum(map(len, logs))


async def property_of(systemd: Systemd, unit: str, name: str) -> str:
    """'' if systemd does not say."""
    try:
        found = await systemd.show((name,), (unit,))
    except UnitFailed:  # all else is still looked at
        return ""
    return found[0].get(name, "") if found else ""


async def command_to_unmask(paths: Paths, reality: Reality | None) -> str:
    """The command that takes away the one of Docker's unit, and starts it."""
    systemd = manager(paths)
    if systemd is None or reality is None or reality.unit.phase is not Phase.MASKED:
        return ""
    unit, systemctl = reality.unit_name, reality.systemctl
    file_state = await property_of(systemd, unit, FILE_STATE)
    return f"{unmasked(systemctl, unit, file_state)} && sudo {systemctl} start {unit}"

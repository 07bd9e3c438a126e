"""What the system's journal knows of the chain: each record's seq and hash went there with its event.

Anybody can write to the journal under any name, and a container, whose lines dockerd sends, any field as root (FACTS
72). Believed is what journald itself says came from the service: its unit, by its name, and root. So the records that
a command wrote are not anchored here, but in the state directory, and by the service's next record.

A log may end for good: `uninstall` says so here, so that nobody misses its records when it is gone. That comes from a
command, whose word anybody could borrow; it counts only if it names the newest anchor of the service before it, for
who can read that is who may read the system's logs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from agent.audit.chain import Anchor

IDENTIFIER: Final = "docker-proxy-agent"  # the name under which the agent is in the journal
UNIT: Final = "docker-proxy-agent.service"  # a fixed name: what runs under another one is not believed
_PATIENCE_S: Final = 60  # a journal of many gigabytes on a slow disk
_ENDED: Final = "AUDIT_ENDED"

Anchors = tuple[Anchor, ...]  # of one log, the oldest first


class _Line(msgspec.Struct, frozen=True):
    seq: str = msgspec.field(name="AUDIT_SEQ")
    hash: str = msgspec.field(name="AUDIT_HASH")
    unit: str = msgspec.field(name="_SYSTEMD_UNIT", default="")
    ended: str = msgspec.field(name=_ENDED, default="")


def ask() -> tuple[Anchors, ...] | None:
    """The anchors that the service left there, log after log, at least one; None if the journal cannot be asked."""
    of_us = (f"SYSLOG_IDENTIFIER={IDENTIFIER}", "_UID=0")
    fields = "--output-fields=AUDIT_SEQ,AUDIT_HASH,_SYSTEMD_UNIT," + _ENDED
    command = ["journalctl", "--quiet", "--no-pager", "--output=json", fields]
    matches = [*of_us, f"_SYSTEMD_UNIT={UNIT}", "+", *of_us, f"{_ENDED}=1"]
    try:
        done = subprocess.run([*command, *matches], capture_output=True, check=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):  # no journal here, or not for us: one anchor less, and that is said
        return None
    return logs_in(done.stdout.split(b"\n"))


def logs_in(lines: Iterable[bytes]) -> tuple[Anchors, ...]:
    """The anchors in journalctl's JSON; entries without one are other lines of the agent."""
    logs: list[list[Anchor]] = [[]]
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=_Line)
            anchor = Anchor(int(entry.seq), entry.hash)
        except (msgspec.MsgspecError, ValueError):
            continue
        if entry.unit == UNIT:
            logs[-1].append(anchor)
        elif entry.ended and logs[-1][-1:] == [anchor]:
            logs.append([])
    return tuple(map(tuple, logs))


def mark_of_the_end() -> Mapping[str, str] | None:
    """The fields by which the journal is told that the log has ended; None if it knows none."""
    _sync()
    logs = ask()
    if logs is None or not logs[-1]:
        return None
    newest = logs[-1][-1]
    return {
        "MESSAGE": "The agent is uninstalled: its audit log is complete, and may go",
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "AUDIT_SEQ": str(newest.seq),
        "AUDIT_HASH": newest.hash,
        _ENDED: "1",
    }


def _sync() -> None:
    try:
        subprocess.run(["journalctl", "--sync"], capture_output=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):  # then what is there already has to do
        return

"""The chain's anchors in systemd's journal: each record's seq and hash went there with its event.

Any user can write to the journal under any name, and a container can write any field as root, through dockerd (FACTS
72). So only entries count that journald itself marks as the service's: its unit, and root, or the user whose own
instance it is. That proves less for a user's own: whatever runs as that user can run in a unit of this name, so the
anchors speak against everybody but the user. Records that a command wrote are anchored in the state directory, and by
the service's next record.

`uninstall` ends a log for good and writes that here, so that `audit verify` does not miss its records later. As any
user could write such an entry, it counts only if it names the service's newest anchor, which only readers of the
system's logs know.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from agent.audit.chain import Anchor

IDENTIFIER: Final = "docker-proxy-agent"  # the name under which the agent is in the journal
UNIT: Final = "docker-proxy-agent.service"  # fixed: entries of another unit do not count
_PATIENCE_S: Final = 60  # a journal of many gigabytes on a slow disk
_SEQ: Final = "DPA_AUDIT_SEQ"
_HASH: Final = "DPA_AUDIT_HASH"
_ENDED: Final = "DPA_AUDIT_ENDED"
_OLD_ENDED: Final = "AUDIT_ENDED"
_SYSTEMS: Final = "_SYSTEMD_UNIT"
_USERS: Final = "_SYSTEMD_USER_UNIT"  # below a user's systemd; the other one is user@UID.service there

Anchors = tuple[Anchor, ...]  # of one log, the oldest first


class _Line(msgspec.Struct, frozen=True):
    seq: str = msgspec.field(name=_SEQ, default="")
    hash: str = msgspec.field(name=_HASH, default="")
    unit: str = msgspec.field(name=_SYSTEMS, default="")
    users_unit: str = msgspec.field(name=_USERS, default="")
    ended: str = msgspec.field(name=_ENDED, default="")
    # Under these names a development version wrote them.
    old_seq: str = msgspec.field(name="AUDIT_SEQ", default="")
    old_hash: str = msgspec.field(name="AUDIT_HASH", default="")
    old_ended: str = msgspec.field(name=_OLD_ENDED, default="")

    @property
    def anchor(self) -> Anchor:
        """ValueError if there is none."""
        return Anchor(int(self.seq or self.old_seq), self.hash or self.old_hash)


def ask(user: int | None = None) -> tuple[Anchors, ...] | None:
    """The service's anchors, one list per log, at least one list. None if the journal cannot be read.

    `user`: whose own instance it is; None: the system's. To a user journald shows what it keeps of the user, if it
    keeps that apart: on disk it does.
    """
    of_us = (f"SYSLOG_IDENTIFIER={IDENTIFIER}", f"_UID={user or 0}")
    fields = f"--output-fields={','.join(_Line.__struct_encode_fields__)}"
    command = ["journalctl", "--quiet", "--no-pager", "--output=json", fields]
    of_unit = f"{_SYSTEMS if user is None else _USERS}={UNIT}"
    matches = [*of_us, of_unit, "+", *of_us, f"{_ENDED}=1", "+", *of_us, f"{_OLD_ENDED}=1"]
    try:
        done = subprocess.run([*command, *matches], capture_output=True, check=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):  # no journal, or no permission: `verify` reports it
        return None
    return logs_in(done.stdout.split(b"\n"), user)


def logs_in(lines: Iterable[bytes], user: int | None = None) -> tuple[Anchors, ...]:
    """The anchors in journalctl's JSON. Lines without an anchor are skipped."""
    logs: list[list[Anchor]] = [[]]
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=_Line)
            anchor = entry.anchor
        except (msgspec.MsgspecError, ValueError):
            continue
        if (entry.unit if user is None else entry.users_unit) == UNIT:
            logs[-1].append(anchor)
        elif (entry.ended or entry.old_ended) and logs[-1][-1:] == [anchor]:
            logs.append([])
    return tuple(map(tuple, logs))


def mark_of_the_end(user: int | None = None) -> Mapping[str, str] | None:
    """The journal fields that end the log. None if the journal has no anchor of it."""
    _sync()
    logs = ask(user)
    if logs is None or not logs[-1]:
        return None
    newest = logs[-1][-1]
    return {
        "MESSAGE": "The agent is uninstalled: its audit log is complete and may be deleted",
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        _SEQ: str(newest.seq),
        _HASH: newest.hash,
        _ENDED: "1",
    }


def _sync() -> None:
    try:
        subprocess.run(["journalctl", "--sync"], capture_output=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):  # use what is there already
        return

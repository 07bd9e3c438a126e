"""What the journal knows of the chain: each record's seq and hash went there with its event."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterable
from typing import Final

import msgspec

from agent.audit.chain import Anchor

IDENTIFIER: Final = "docker-proxy-agent"  # the name under which the agent is in the journal
_PATIENCE_S: Final = 60  # a journal of many gigabytes on a slow disk


class _Line(msgspec.Struct, frozen=True):
    seq: str = msgspec.field(name="AUDIT_SEQ")
    hash: str = msgspec.field(name="AUDIT_HASH")


def ask(since: dt.datetime, uid: int) -> tuple[Anchor, ...] | None:
    """The anchors since then that processes of this user left there; None if the journal cannot be asked.

    Anybody can write to the journal under any name; `_UID` is journald's own word. What is older than the log itself
    may be of a log before it, and is not asked for.
    """
    command = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--output=json",
        "--output-fields=AUDIT_SEQ,AUDIT_HASH",
        f"--since=@{int(since.timestamp())}",
        f"SYSLOG_IDENTIFIER={IDENTIFIER}",
        f"_UID={uid}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):  # no journal here, or not for us: one anchor less, and that is said
        return None
    return anchors_in(done.stdout.splitlines())


def anchors_in(lines: Iterable[bytes]) -> tuple[Anchor, ...]:
    """The anchors in journalctl's JSON; entries without one are other lines of the agent."""
    found = []
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=_Line)
            found.append(Anchor(int(entry.seq), entry.hash))
        except (msgspec.MsgspecError, ValueError):
            continue
    return tuple(found)

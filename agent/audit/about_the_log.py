"""What the log says about itself: the facts of `log-recovered` and `log-trimmed`.

Pure. `log` writes them and `verify` goes by them.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from agent.audit.chain import Anchor, Entry
from agent.values.events import LogRecovered, LogTrimmed


class Torn(msgspec.Struct, frozen=True):
    """What stands between a record and the one before it, and is none: the write of a line that did not end."""

    length: int  # bytes
    # Without a key, for a reader of the log to check: it tells nothing that does not stand in the same file, as it is.
    # The agent's own lines are redacted before they are written, so what is left of one is, too.
    sha256: str

    @classmethod
    def of(cls, rest: bytes) -> Torn:
        return cls(len(rest), hashlib.sha256(rest).hexdigest())


class Missed(msgspec.Struct, frozen=True):
    """Records that could not be written; the journal has them."""

    records: int
    since: str
    because: str


class Recovered(LogRecovered, frozen=True, kw_only=True, omit_defaults=True):
    """What was wrong with the log before this record."""

    torn: Torn | None = None
    # Where the log was found to end, and what the anchor says instead: records are missing, or others were written.
    found: Anchor | None = None
    anchor: Anchor | None = None
    no_anchor: str = ""  # why there was none
    missed: Missed | None = None


class DroppedFile(msgspec.Struct, frozen=True):
    """A full file that is gone; None for what was not legible in it."""

    first: int | None  # seq
    last: int | None
    hash: str  # of its last record


class Trimmed(LogTrimmed, frozen=True, kw_only=True):
    """What `keep` and `max_size` did not allow any longer."""

    files: tuple[DroppedFile, ...]


T = TypeVar("T", Recovered, Trimmed)


def facts(said: Recovered | Trimmed) -> dict[str, Any]:
    """As the facts of a record."""
    built: dict[str, Any] = msgspec.to_builtins(said)
    return built


def said(kind: type[T], entry: Entry) -> T | None:
    """What a record says about the log; None if it is about something else."""
    if entry.event != kind.event.value:
        return None
    try:
        return msgspec.convert(entry.facts, kind)
    except msgspec.ValidationError:  # written by another version, or by nobody of ours
        return None

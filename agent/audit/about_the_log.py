"""What the log says about itself: the facts of `log-recovered` and `log-trimmed`.

Pure. `log` writes them, and `verify` reads them.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from agent.audit.chain import Anchor, Entry
from agent.audit.older import facts_of
from agent.values.events import LogRecovered, LogTrimmed


class Torn(msgspec.Struct, frozen=True):
    """A line that was cut short before the next record was written."""

    length: int  # bytes
    # Without a key, so that a reader can check it. The line is in the same file, and was redacted before.
    sha256: str

    @classmethod
    def of(cls, rest: bytes) -> Torn:
        return cls(len(rest), hashlib.sha256(rest).hexdigest())


class Missed(msgspec.Struct, frozen=True):
    """Records that could not be written. The journal has them."""

    records: int
    since: str
    because: str


class Recovered(LogRecovered, frozen=True, kw_only=True, omit_defaults=True):
    """What was wrong with the log before this record."""

    torn: Torn | None = None
    # Where the log ended, and where the anchor says that it does: records are missing, or were replaced.
    end: Anchor | None = None
    anchor: Anchor | None = None
    no_anchor: str = ""  # why there was none
    missed: Missed | None = None


class DroppedFile(msgspec.Struct, frozen=True):
    """A full file that was deleted. None: it could not be read."""

    first: int | None  # seq
    last: int | None
    hash: str  # of its last record


class Trimmed(LogTrimmed, frozen=True, kw_only=True):
    """What was deleted because of `keep` or `max_size`."""

    files: tuple[DroppedFile, ...]


T = TypeVar("T", Recovered, Trimmed)


def facts(said: Recovered | Trimmed) -> dict[str, Any]:
    """The facts of the record."""
    built: dict[str, Any] = msgspec.to_builtins(said)
    return built


def said(kind: type[T], entry: Entry) -> T | None:
    """What the record says about the log. None if it is another event."""
    if entry.event != kind.event.value:
        return None
    try:
        return msgspec.convert(facts_of(entry), kind)
    except msgspec.ValidationError:  # written by another version, or forged
        return None

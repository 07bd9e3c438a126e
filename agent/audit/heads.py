"""The records of a log, with no more decoded than a reader needs: their facts are decoded if somebody asks.

A log of 100 MB is read so in about a second. Hashes are not checked: see `verify.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.audit import files
from agent.audit.older import named_today


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A record, but for what chains it; of every schema (`chain.Entry`)."""

    v: int = 1
    ts: str
    seq: int
    boot_id: str
    pass_id: str = msgspec.field(name="pass")
    event: str
    trigger: str
    by: Mapping[str, Any] | None = None
    facts: msgspec.Raw

    def moment(self) -> dt.datetime | None:
        """When it was written. None if its time is invalid."""
        try:
            when = dt.datetime.fromisoformat(self.ts)
        except ValueError:
            return None
        return when if when.tzinfo else None

    def facts_of_today(self) -> dict[str, Any]:
        """Under the names of today's schema; none if they are no object."""
        try:
            found = _FACTS.decode(self.facts)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {}
        return named_today(self.v, self.event, found)


_HEAD: Final = msgspec.json.Decoder(Head)
_FACTS: Final = msgspec.json.Decoder(dict[str, Any])


def heads(path: Path) -> Iterator[Head]:
    """Every record, the oldest first; lines that are none are left out. OSError if the log cannot be read."""
    for line in files.lines(path):
        try:
            yield _HEAD.decode(line.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue

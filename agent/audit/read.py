"""The records that match a filter. Their hashes are not checked: see `verify`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.audit import files
from agent.audit.chain import Entry
from agent.values.policy import Duration


class Legible(msgspec.Struct, frozen=True):
    """A record, and its line."""

    entry: Entry
    line: str


class Illegible(msgspec.Struct, frozen=True):
    """A line that is not a record."""


class Filter(msgspec.Struct, frozen=True):
    """Which records to show. Empty parts match every record."""

    events: frozenset[str] = frozenset()
    network: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def has(self, entry: Entry, network: object) -> bool:
        if self.events and entry.event not in self.events:
            return False
        if self.network and network != self.network:
            return False
        if self.since is None and self.until is None:
            return True
        when = moment_of(entry)
        if when is None:
            return False
        return (self.since is None or when >= self.since) and (self.until is None or when < self.until)


EVERYTHING: Final = Filter()


def records(path: Path, which: Filter = EVERYTHING) -> Iterator[Legible | Illegible]:
    """The matching records, the oldest first, and an Illegible for every other line.

    A record without a network belongs to the network that its pass named before. OSError if the log cannot be read.
    """
    this_pass, network = ("", ""), None
    for line in files.lines(path):
        entry = line.decoded()
        if entry is None:
            yield Illegible()
            continue
        if not entry.pass_id or this_pass != (entry.boot_id, entry.pass_id):
            this_pass, network = (entry.boot_id, entry.pass_id), None
        network = entry.facts.get("network", network)
        if which.has(entry, network):
            yield Legible(entry, line.text.decode())


def moment_of(entry: Entry) -> dt.datetime | None:
    """When the record was written. None if its time is invalid."""
    try:
        when = dt.datetime.fromisoformat(entry.ts)
    except ValueError:
        return None
    return when if when.tzinfo else None


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A time as a person writes it: RFC 3339 (local without an offset), or `2h` for two hours ago."""
    try:
        return now - dt.timedelta(seconds=Duration.parse(text))
    except (ValueError, OverflowError):
        pass
    try:
        return dt.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is not a time, such as "2h", "2026-03-01" or "2026-03-01T09:12:04Z"') from None

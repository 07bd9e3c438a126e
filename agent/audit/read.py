"""The records for a reader: those that are asked for, whatever their hashes say. `verify` says what to believe."""

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
    """A record, and the line it stands on."""

    entry: Entry
    line: str


class Illegible(msgspec.Struct, frozen=True):
    """A line that is no record."""


class Filter(msgspec.Struct, frozen=True):
    """Which records are asked for; each part that is empty does not count."""

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
    """The records that are asked for, the oldest first, and a mark for every line that is none.

    A record that names no network is about the one that its pass has named before. OSError if the log may not be read.
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
    """When it was written down; None if what stands there is no such time."""
    try:
        when = dt.datetime.fromisoformat(entry.ts)
    except ValueError:
        return None
    return when if when.tzinfo else None


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A point in time as a person writes it: RFC 3339, without an offset local, or `2h` for so long ago."""
    try:
        return now - dt.timedelta(seconds=Duration.parse(text))
    except (ValueError, OverflowError):
        pass
    try:
        return dt.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is no time, such as "2h", "2026-03-01" or "2026-03-01T09:12:04Z"') from None

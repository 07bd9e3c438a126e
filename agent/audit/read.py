"""The records that match a filter. Their hashes are not checked: see `verify`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.audit import files
from agent.audit.chain import Entry
from agent.audit.files import Line
from agent.audit.older import facts_of


class Legible(msgspec.Struct, frozen=True):
    """A record, and its line."""

    entry: Entry
    line: str


class Illegible(msgspec.Struct, frozen=True):
    """A line that is not a record."""


class Person(msgspec.Struct, frozen=True):
    """Who asked, as a reader names them."""

    name: str
    uid: int | None = None  # of the account of that name

    def is_meant(self, by: Mapping[str, Any] | None) -> bool:
        """By who logged in, who is the same under sudo; else by the uid of the process. Or by the way it came."""
        if by is None:
            return False
        if self.name in (by.get("claimed"), by.get("via")):
            return True
        return self.uid is not None and by.get("login_uid", by.get("uid")) == self.uid


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records to show. Empty parts match every record."""

    events: frozenset[str] = frozenset()
    network: str = ""
    upstream: str = ""
    target: str = ""  # a path, or how one ends
    by: Person | None = None
    pass_id: str = ""  # or how it begins
    boot: str = ""  # the same
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def has(self, entry: Entry, of_pass: Mapping[str, Any]) -> bool:
        """`of_pass`: network and upstream that its pass named."""
        if self.events and entry.event not in self.events:
            return False
        if not entry.pass_id.startswith(self.pass_id) or not entry.boot_id.startswith(self.boot):
            return False
        if self.by is not None and not self.by.is_meant(entry.by):
            return False
        return self._is_about_it(entry, of_pass) and self._is_then(entry)

    def _is_about_it(self, entry: Entry, of_pass: Mapping[str, Any]) -> bool:
        if self.network and of_pass.get("network") != self.network:
            return False
        if not self.upstream and not self.target:
            return True
        facts = facts_of(entry)
        if self.upstream and self.upstream not in (of_pass.get("upstream"), facts.get("previous_upstream")):
            return False
        return not self.target or any(_ends_so(target, self.target) for target in _listed(facts.get("targets")))

    def _is_then(self, entry: Entry) -> bool:
        if self.since is None and self.until is None:
            return True
        when = moment_of(entry)
        if when is None:
            return False
        return (self.since is None or when >= self.since) and (self.until is None or when < self.until)


EVERYTHING: Final = Filter()


def records(path: Path, which: Filter = EVERYTHING) -> Iterator[Legible | Illegible]:
    """The matching records, the oldest first, and an Illegible for every other line.

    A record without a network, or an upstream, belongs to the one that its pass named before. OSError if the log cannot
    be read.
    """
    reading = _Reading(which)
    for line in files.lines(path):
        found = reading.take(line)
        if found is not None:
            yield found


def followed(path: Path, which: Filter = EVERYTHING) -> Iterator[Legible | Illegible | None]:
    """The same, and then what is appended, without an end. None: nothing more for now."""
    reading = _Reading(which)
    for line in files.followed(path):
        found = None if line is None else reading.take(line)
        if line is None or found is not None:
            yield found


class _Reading:
    """One way along the log."""

    def __init__(self, which: Filter) -> None:
        self._which = which
        self._this_pass = ("", "")
        self._of_pass: dict[str, Any] = {}

    def take(self, line: Line) -> Legible | Illegible | None:
        """None: a record that does not match."""
        entry = line.decoded()
        if entry is None:
            return Illegible()
        if not entry.pass_id or self._this_pass != (entry.boot_id, entry.pass_id):
            self._this_pass, self._of_pass = (entry.boot_id, entry.pass_id), {}
        self._of_pass |= {name: entry.facts[name] for name in ("network", "upstream") if name in entry.facts}
        return Legible(entry, line.text.decode()) if self._which.has(entry, self._of_pass) else None


def moment_of(entry: Entry) -> dt.datetime | None:
    """When the record was written. None if its time is invalid."""
    try:
        when = dt.datetime.fromisoformat(entry.ts)
    except ValueError:
        return None
    return when if when.tzinfo else None


def boots(path: Path) -> list[str]:
    """The kernel's ids of the boots in which the log was written, the oldest first."""
    decoded = (line.decoded() for line in files.lines(path))
    return [*dict.fromkeys(entry.boot_id for entry in decoded if entry is not None)]


def _listed(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _ends_so(path: str, named: str) -> bool:
    return path == named or (not named.startswith("/") and path.endswith(f"/{named}"))

"""What `audit at`, `audit outages` and `audit who` print with `--json`. docs/json.md says what each field means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was so at a time."""

    value: str | None  # None: none, such as offline
    known: bool  # else the value is what was seen last, and `why_not` says why it is not known
    why_not: str = ""
    since: str | None
    until: str | None  # None: it is still so where the log ends
    because: str = ""
    record: int | None  # seq of the one that says so
    about: str = ""  # which Docker, where there are several; which file
    settings: Mapping[str, Any] | None = None  # of Docker
    cause: str = ""  # who started Docker: `agent` or `others`


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What a person should have known then."""

    code: str  # as the codes of conditions
    text: str
    held: Held


class AtShown(msgspec.Struct, frozen=True, kw_only=True):
    """`audit at TIME`."""

    at: str
    agent: Held
    network: Held
    chosen: Held
    docker: tuple[Held, ...]
    policy: Held
    relay: Held | None  # the upstream behind it; None: Docker was not given the relay, or no record says so
    conditions: tuple[Trouble, ...]
    records: tuple[Mapping[str, Any], ...]  # that say so
    newest: str | None  # when the log's newest record was written
    notes: tuple[str, ...]


class OutageShown(msgspec.Struct, frozen=True, kw_only=True):
    """One of `audit outages`."""

    begin: str
    end: str | None  # None: it goes on, or nobody saw its end
    seen_until: str | None
    lasted_s: float | None
    network: str
    upstream: str
    because: str
    why: str
    verdicts: tuple[Mapping[str, Any], ...]
    ended_because: str
    ended_by: str
    records: tuple[int, ...]


class OrderShown(msgspec.Struct, frozen=True, kw_only=True):
    """One of `audit who`."""

    at: str
    what: str
    who: str
    by: Mapping[str, Any]
    came_of_it: tuple[str, ...]
    record: int
    pass_id: str


class RanShown(msgspec.Struct, frozen=True, kw_only=True):
    """One of `audit ran`."""

    begin: str
    end: str | None  # None: it is still so where the log ends
    runs: str | None  # None: not known
    upstream: str
    behind: str | None  # the upstream behind the relay; '' without it; None: not known
    network: str | None
    why_not: str
    cause: str
    about: str
    record: int

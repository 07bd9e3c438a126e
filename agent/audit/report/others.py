"""What others changed of what the agent writes, by the records: which file, when, and what became of it.

Pure. Who it was the file does not tell: only whose it is, and when it was written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agent.audit.facts_read import moment_of
from agent.audit.heads import Head
from agent.audit.texts import Texts
from agent.values.events import Event

_CAME_OF_IT: Final = {
    Event.ADOPTED.value: "replaced by the agent for the first time; kept for `restore`",
    Event.DRIFT_CORRECTED.value: "corrected",
    Event.GAVE_UP.value: "left alone",
}
BY_OTHERS: Final = frozenset(_CAME_OF_IT)
_SETTINGS: Final = ("http", "https", "all", "no_proxy")


class ByOthers(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    at: dt.datetime | None  # by the file, else by the record
    seq: int
    targets: str
    owner: str  # of the file
    found: str
    came_of_it: str


def by_others(head: Head, texts: Texts) -> ByOthers:
    facts = head.facts_of_today()
    owner = facts.get("owner", "")
    found = facts.get("found")
    return ByOthers(
        at=moment_of(facts, "changed") or head.moment(),
        seq=head.seq,
        targets=texts.once(", ".join(map(str, _list(facts.get("targets"))))),
        owner=texts.once("it was removed" if owner is None else str(owner)),
        found=texts.once(_in_words(found) if isinstance(found, Mapping) else ""),
        came_of_it=texts.once(_told(head.event, facts)),
    )


def _told(event: str, facts: Mapping[str, Any]) -> str:
    because = facts.get("because")
    before, after = (facts.get(name) for name in ("password_before", "password_after"))
    password = "; another password" if event == Event.DRIFT_CORRECTED.value and before != after else ""
    return f"{_CAME_OF_IT[event]}{password}{f': {because}' if because else ''}"


def _in_words(settings: Mapping[str, Any]) -> str:
    if settings.get("direct") is True:
        return "direct"
    return " ".join(f"{name} {settings[name]}" for name in _SETTINGS if name in settings)


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []

"""A record as a row: its sentence, who asked, and what it changed.

Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.audit.facts_read import who
from agent.audit.heads import Head
from agent.audit.report.privacy import without_places
from agent.audit.report.values import Row
from agent.values.events import FACTS, Event
from agent.values.sentences import sentence

_SETTINGS: Final = ("http", "https", "all", "no_proxy")
# What is replaced; by what: `apply-started`.
_FOUND: Final = frozenset({Event.ADOPTED.value, Event.DRIFT_CORRECTED.value})
_EVENTS: Final = frozenset(event.value for event in Event)


def row_of(head: Head, *, is_full: bool) -> Row:
    """`is_full`: also where the laptop was."""
    facts = head.facts_of_today()
    shown = facts if is_full else without_places(head.event, facts) if head.event in _EVENTS else {}
    return Row(
        seq=head.seq,
        at=head.moment(),
        event=head.event,
        severity=FACTS[Event(head.event)].severity.value if head.event in _EVENTS else "",
        text=_said(head, shown),
        by=who(head.by) if head.by else "",
        diff=tuple(_difference(head.event, facts)),
        where=tuple(_where(facts)) if is_full else (),
    )


def _said(head: Head, facts: Mapping[str, Any]) -> str:
    if head.event not in _EVENTS:  # written by a newer agent
        return json.dumps(facts, ensure_ascii=False) if facts else ""
    # The difference has lines of its own.
    return sentence(Event(head.event), {name: fact for name, fact in facts.items() if name != "diff"})


def _difference(event: str, facts: Mapping[str, Any]) -> Iterator[str]:
    lines, before, after = (facts.get(name) for name in ("diff", "effective", "settings"))
    if event == Event.POLICY_LOADED.value and isinstance(lines, list):
        yield from (line for line in lines if isinstance(line, str))
    if event == Event.APPLY_STARTED.value and isinstance(before, dict) and isinstance(after, dict):
        yield from _of_settings(before, after)
    if event in _FOUND and isinstance(found := facts.get("found"), dict):
        yield from _of_settings(found, {})


def _of_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What Docker ran with, and what it is to run with."""
    if before.get("direct") is True and after and after.get("direct") is not True:
        yield "-direct"
    for name in _SETTINGS:
        old, new = before.get(name), after.get(name)
        if old != new:
            yield from (f"{sign}{name} {value}" for sign, value in (("-", old), ("+", new)) if value is not None)
    if after.get("direct") is True and before.get("direct") is not True:
        yield "+direct"


def _where(facts: Mapping[str, Any]) -> Iterator[str]:
    seen = facts.get("interfaces")
    for one in seen if isinstance(seen, list) else ():
        if isinstance(one, dict):
            yield " ".join(_words(one))


def _words(interface: Mapping[str, Any]) -> Iterator[str]:
    yield str(interface.get("name", ""))
    if ssid := interface.get("ssid"):
        yield f'"{ssid}"'
    for name, word in (("gateways", "gateway"), ("gateway_macs", ""), ("addresses", "")):
        values = interface.get(name)
        if isinstance(values, list) and values:
            yield f"{word} {', '.join(map(str, values))}".strip()

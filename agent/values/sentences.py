"""An event in words: its sentence, filled with the facts that there are.

Pure. Sentences are made from what is in the log (`audit/facts.py` made it plain and redacted it), for they are also
made from records that another version wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from agent.values.events import FACTS, Event
from agent.values.secret import escaped

_PART = re.compile(r"\[([^\]]*)\]")
_FACT = re.compile(r"\{(\w+)\}")
_MOMENTS: Final = frozenset({"since", "changed"})  # with those whose name ends in `_at`
_FRACTION: Final = re.compile(r"\.[0-9]+(?=Z$)")  # of a second: more than a person wants to read
_SETTINGS: Final = ("http", "https", "all")  # what `Settings.lines` may begin with
_BRIEF_AT_MOST: Final = 100
LONGEST: Final = 400  # characters of a sentence; the facts beside it are whole


def sentence(event: Event, facts: Mapping[str, object]) -> str:
    """One line for a person, from whatever of the event's facts are there."""
    return escaped(_filled(FACTS[event].sentence, facts), LONGEST)


def brief(event: Event, facts: Mapping[str, object]) -> str:
    """A few words; '' of what is not told so."""
    return escaped(_filled(FACTS[event].brief, facts), _BRIEF_AT_MOST)


def _filled(template: str, facts: Mapping[str, object]) -> str:
    def part(match: re.Match[str]) -> str:
        said = {name: _said(name, facts.get(name)) for name in _FACT.findall(match[1])}
        return _FACT.sub(lambda fact: said[fact[1]], match[1]) if all(said.values()) else ""

    return _PART.sub(part, template)


def _said(name: str, value: object) -> str:
    match value:
        case None | False | 0:
            return ""
        case True:
            return "yes"
        case int() | float() if name.endswith("_ms"):
            return f"{value:.0f} ms"
        case int() | float() if name.endswith("_s"):
            return f"{value:.1f} s"
        case str() if name.endswith("_at") or name in _MOMENTS:
            return _FRACTION.sub("", value)
        case list() | tuple():
            return ", ".join(_said(name, item) for item in value)
        case Mapping():
            return _said_of_mapping(value)
    return str(value)


def _said_of_mapping(value: Mapping[str, object]) -> str:
    if "verdict" in value:
        evidence = _said("evidence", value.get("evidence"))
        named = (_said("", value.get(name)) for name in ("upstream", "verdict"))
        parts = (*named, _said("in_ms", value.get("ms")), f"[{evidence}]" if evidence else "")
        return " ".join(part for part in parts if part)
    if value.get("direct") is True:
        return "direct"
    for name in _SETTINGS:
        if name in value:
            return str(value[name])
    return ", ".join(f"{key} {_said(key, item)}" for key, item in value.items())

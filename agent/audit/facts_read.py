"""The facts of a record, each as far as it is what it should be: whatever wrote it, and whoever has changed it since.

Pure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agent.values.asker import Asker

_SETTINGS: Final = ("http", "https", "all")
_LONGEST_S: Final = 1e10  # three hundred years


def who(by: Mapping[str, Any]) -> str:
    """Who asked, in a few words."""
    try:
        return str(msgspec.convert(by, Asker))
    except msgspec.ValidationError:  # of a newer agent
        return str(by.get("claimed") or by.get("via") or "a person")


def proxies_of(settings: Mapping[str, Any]) -> str:
    """In a few words: `direct`, or its proxies."""
    if settings.get("direct") is True:
        return "direct"
    return " ".join(dict.fromkeys(str(settings[name]) for name in _SETTINGS if name in settings)) or "direct"


def unit_of(facts: Mapping[str, Any]) -> str:
    """Of the Docker that the record is about."""
    return text_of(facts, "unit") or ""


def until_of(facts: Mapping[str, Any], name: str = "until") -> str:
    """As the end of an order in words."""
    until = text_of(facts, name)
    return f" until {until}" if until else ""


def text_of(facts: Mapping[str, Any], name: str) -> str | None:
    """None: there is none."""
    found = facts.get(name)
    return found if isinstance(found, str) else None


def texts_of(facts: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Of a list."""
    found = facts.get(name)
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def seconds_of(facts: Mapping[str, Any], name: str) -> float | None:
    """None also for what no clock has measured."""
    found = facts.get(name)
    return float(found) if isinstance(found, int | float) and 0 <= found <= _LONGEST_S else None


def moment_of(facts: Mapping[str, Any], name: str) -> dt.datetime | None:
    """None also for a time without an offset."""
    try:
        found = dt.datetime.fromisoformat(text_of(facts, name) or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def earlier(at: dt.datetime, seconds: float) -> dt.datetime:
    """So long before."""
    try:
        return at - dt.timedelta(seconds=seconds)
    except OverflowError:  # a clock that stood at the beginning of time
        return at

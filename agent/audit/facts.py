"""What a record or a log line may contain: plain values, and no secret.

Pure. The one place where our own types become JSON; `shown.plain` then cuts and redacts every text. Secrets,
credentials and user names (a token may be a user name) become `•••`.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

import msgspec

from agent.values import shown
from agent.values.errors import AgentError
from agent.values.secret import HIDDEN, MORE, Secret
from agent.values.settings import Credentials, ProxyUrl, Settings, Texts, Unparsable
from agent.values.shown import BOUNDS, Bounds, Plain

__all__ = ["Plain", "of_a_record", "plain"]

LARGEST: Final = 16 * 1024  # bytes of the facts of one record
# Bounds for facts that are larger than that, one after the other.
_LESS: Final = (BOUNDS, Bounds(400, 32, 6, 300), Bounds(100, 8, 4, 30))


def plain(value: object, bounds: Bounds = BOUNDS) -> Plain:
    """The value as plain JSON, redacted and bounded. TypeError for a type that has no case below."""
    return shown.plain(value, _of_the_house, bounds)


def of_a_record(facts: Mapping[str, object]) -> dict[str, Plain]:
    """The facts by name, together no larger than LARGEST."""
    for bounds in _LESS:
        found = {name: plain(fact, bounds) for name, fact in facts.items()}
        if len(msgspec.json.encode(found)) <= LARGEST:
            return found
    return dict.fromkeys(facts, MORE)


def _of_the_house(value: object) -> object:
    match value:
        case enum.Enum():
            return value.value
        case Secret() | Credentials() | Texts():
            return HIDDEN
        case ProxyUrl() | Unparsable() | PurePath() | AgentError():
            return str(value)
        case Settings():
            return {"direct": True} if value.is_direct else dict(value.lines())
        case msgspec.Struct():
            return _struct(value)
        case dt.datetime():
            return value.isoformat()
    raise shown.undecided(value)


def _struct(struct: msgspec.Struct) -> dict[str, object]:
    defaults = struct.__struct_defaults__ if struct.__struct_config__.omit_defaults else ()
    left_out = dict(zip(struct.__struct_fields__[-len(defaults) :], defaults, strict=True)) if defaults else {}
    found = {name: getattr(struct, name) for name in struct.__struct_fields__}
    shown = {name: value for name, value in found.items() if name not in left_out or value != left_out[name]}
    return {name: HIDDEN if name == "username" and value else value for name, value in shown.items()}

"""The JSON Schema of a record, generated from the types of the events: docs/audit.schema.json is a copy of it.

Pure. A fact that was cut because it is too large is `…`, and the last item of a list that was cut is a text that says
how many are left out (`values/shown.py`); the schema allows both.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agent.audit.about_the_log import Recovered, Trimmed
from agent.audit.chain import SCHEMA
from agent.values.asker import Asker
from agent.values.events import FACTS, Event, Facts, Severity
from agent.values.secret import MORE
from agent.values.settings import Settings

_REF: Final = "#/$defs/{name}"
_TEXT: Final = {"type": "string"}
_HASH: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_CUT: Final = {"const": MORE}
_LEFT_OUT: Final = {"type": "string", "pattern": f"^{MORE} and [0-9]+ more$"}


class ProxySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Either `direct: true`, or the proxies and what goes past them. A user and a password are shown as •••."""

    direct: bool = False
    http: str = ""
    https: str = ""
    all: str = ""
    no_proxy: str = ""


_SAID_BY_THE_LOG: Final[tuple[type[Facts], ...]] = (Recovered, Trimmed)  # with more than their events have


def schema() -> dict[str, Any]:
    """Of one line of the log, by draft 2020-12."""
    kinds = {**FACTS, **{kind.event: kind for kind in _SAID_BY_THE_LOG}}
    shapes = {event: _shape(kind) for event, kind in kinds.items()}
    _, parts = msgspec.json.schema_components((*shapes.values(), Asker), ref_template=_REF)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of docker-proxy-agent's audit log",
        "type": "object",
        "properties": {
            "v": {"const": SCHEMA},
            "ts": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "seq": {"type": "integer", "minimum": 1},
            "host": _TEXT,
            "boot_id": _TEXT,
            "pass": _TEXT,
            "event": {"enum": [event.value for event in Event]},
            "severity": {"enum": [severity.value for severity in Severity]},
            "trigger": _TEXT,
            "by": {"$ref": _REF.format(name=Asker.__name__)},
            "facts": {"type": "object"},
            "prev": _HASH,
            "hash": _HASH,
        },
        "required": [
            *("v", "ts", "seq", "host", "boot_id", "pass", "event", "severity", "trigger", "facts", "prev", "hash")
        ],
        "additionalProperties": False,
        "allOf": [
            {
                "if": {"properties": {"event": {"const": event.value}}},
                "then": {"properties": {"facts": {"$ref": _REF.format(name=shape.__name__)}}},
            }
            for event, shape in shapes.items()
        ],
        "$defs": {name: _cuttable(part) for name, part in sorted(parts.items())},
    }


def _shape(kind: type[Facts]) -> type[msgspec.Struct]:
    """The type as a record has it: settings are shown, not the values that can be encoded for Docker."""
    hints, defaults = typing.get_type_hints(kind), _defaults(kind)
    fields = [
        (name, _shown(hints[name]), defaults[name]) if name in defaults else (name, _shown(hints[name]))
        for name in kind.__struct_fields__
    ]
    bases = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
    shape: type[msgspec.Struct] = msgspec.defstruct(kind.event.value, fields, **bases)  # type: ignore[arg-type]
    shape.__doc__ = kind.__doc__ if kind.__doc__ != msgspec.Struct.__doc__ else None
    return shape


def _defaults(kind: type[Facts]) -> dict[str, Any]:
    fields = msgspec.structs.fields(kind)
    return {field.name: field.default for field in fields if field.default is not msgspec.NODEFAULT}


def _shown(hint: Any) -> Any:
    if hint is Settings:
        return ProxySettings
    arguments = typing.get_args(hint)
    if not arguments:
        return hint
    shown = tuple(map(_shown, arguments))
    if typing.get_origin(hint) is Sequence:
        return list[shown[0]]  # type: ignore[valid-type]
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.Union[shown] if is_union else hint  # noqa: UP007 - of as many as there are


def _cuttable(part: dict[str, Any]) -> dict[str, Any]:
    """Each fact may be cut, and each list may end with what was left out."""
    found = dict(part)
    if "description" in found:  # a docstring, whose indentation msgspec keeps or not, by its version
        found["description"] = inspect.cleandoc(found["description"])
    if "properties" in found:
        found["properties"] = {name: _or(_listed(one), _CUT) for name, one in found["properties"].items()}
    return found


def _or(part: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    choices = part["anyOf"] if set(part) == {"anyOf"} else [part]
    return part if _TEXT in choices else {"anyOf": [*choices, other]}


def _listed(part: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in part.items() if name != "default"}
    if "anyOf" in found:
        found["anyOf"] = [_listed(one) for one in found["anyOf"]]
    if isinstance(found.get("items"), dict):
        found["items"] = _or(_listed(found["items"]), _LEFT_OUT)
    return found

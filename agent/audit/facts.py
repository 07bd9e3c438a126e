"""What may stand in a record and in a log line: plain values, and nothing secret among them.

Pure. The one place where values of the house become JSON for a person. Secrets, credentials and user names (tokens
are written as user names, too) are shown as `•••`; and as a last defence every text loses what stands between `://`
and the last `@` of the same word, for it may come from an exception or from somebody else's file. That takes a
little more than it must from addresses with an `@` in their path, and does not know credentials without a scheme.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Mapping
from collections.abc import Set as AnySet
from pathlib import PurePath

import msgspec

from agent.errors import AgentError
from agent.secret import HIDDEN, Secret
from agent.settings import Credentials, ProxyUrl, Settings, Texts, Unparsable
from agent.verdict import Verdict

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

_USERINFO = re.compile(r"(?<=://)\S*@")


def without_userinfo(text: str) -> str:
    """A text in which no URL has a user or password left."""
    return _USERINFO.sub(f"{HIDDEN}@", text)


def plain(value: object) -> Plain:
    """The value as JSON may hold it, redacted; TypeError for a type that nobody decided about."""
    match value:
        case enum.Enum():
            return plain(value.value)
        case None | bool():
            return value
        case str():
            # A path may hold bytes that are no UTF-8, and JSON may not.
            return without_userinfo(value).encode("utf-8", "backslashreplace").decode()
        case int():
            return int(value)
        case float():
            return float(value)
        case Mapping():
            return {_key(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case AnySet():
            return sorted((plain(item) for item in value), key=str)
    return _of_the_house(value)


def _of_the_house(value: object) -> Plain:
    match value:
        case Secret() | Credentials() | Texts():
            return HIDDEN
        case ProxyUrl() | Unparsable() | PurePath() | AgentError():
            return plain(str(value))
        case Settings():
            return {name: plain(line) for name, line in value.lines()}
        case Verdict():
            return _verdict(value)
        case msgspec.Struct():
            return _struct(value)
        case dt.datetime():
            return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a fact: say in audit/facts.py how it is shown")


def _verdict(verdict: Verdict) -> dict[str, Plain]:
    shown: dict[str, Plain] = {"outcome": verdict.outcome.value, "ms": round(verdict.timings.total, 1)}
    return {**shown, "evidence": plain(verdict.evidence)} if verdict.evidence else shown


def _struct(struct: msgspec.Struct) -> dict[str, Plain]:
    return {
        name: HIDDEN if name == "username" and getattr(struct, name) else plain(getattr(struct, name))
        for name in struct.__struct_fields__
    }


def _key(key: object) -> str:
    shown = plain(key)
    if not isinstance(shown, str):
        raise TypeError(f"{type(key).__name__} is not the name of a fact")
    return shown

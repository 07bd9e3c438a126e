"""What is wrong with a value of the policy, in the words of a person who has to fix it.

Pure. msgspec says what it found and where; here that becomes table and key, value, and what was expected.
Not known here: what a valid value means, and what is wrong between several of them (`policy_text.py`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec

from agent.values.close import closest
from agent.values.policy import Match, NetworkTable
from agent.values.secret import HIDDEN, MORE, redacted

KNOWN_TABLES: Final = ("probe", "docker", "clients", "audit", "no_proxy", "relay", "upstream", "network")
# As the problems and the lines of a policy name it; what a person wrote there follows, or is its key.
_OF_MATCH: Final = re.compile(rf"(\.match\b(?:\.(?:{'|'.join(Match.__struct_encode_fields__)})\b)?).*", re.DOTALL)
_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `[^`]*`")
_IN_WORDS: Final = {
    "str": "text in quotes",
    "bool": "true or false",
    "int": "a whole number",
    "array": "a list",
    "object": "a table",
}


class Fault(msgspec.Struct, frozen=True):
    """What msgspec found, and where."""

    what: str
    path: str  # of the table or value that it is about
    steps: tuple[str, ...]  # to what must be removed to read the rest; (): nothing can be
    unknown: str | None = None  # a key that does not exist
    missing: str | None = None  # a key that must be there


def fault_in(message: str) -> Fault:
    """What a message of msgspec's says."""
    parts = _AT.fullmatch(message)
    what, path = (parts["what"], parts["path"] or "") if parts else (message, "")
    steps = tuple(_steps(path))
    if stray := _UNKNOWN.fullmatch(what):
        return Fault(what, path, (*steps, stray["key"]), unknown=stray["key"])
    if missing := _MISSING.fullmatch(what):
        return Fault(what, path, (), missing=missing["key"])
    return Fault(what, path, steps)


def take_out(raw: Any, steps: tuple[str, ...]) -> bool:
    """Whether there was anything."""
    for step in steps[:-1]:
        raw = raw[int(step)] if isinstance(raw, list) else raw[step]
    if isinstance(raw, list):
        del raw[int(steps[-1])]
        return True
    return raw.pop(steps[-1], None) is not None


def worded(label: str, raw: object, fault: Fault, kind: type) -> str:
    """msgspec's message in the form of every error here: table and key, value, and what was expected."""
    what, path = fault.what, fault.path
    where = label + re.sub(r"\[[^\]]*\]", "", path)
    if fault.unknown is not None:
        known = [field.name for field in msgspec.structs.fields(_kind_at(kind, path))]
        if kind is NetworkTable and not path and fault.unknown in Match.__struct_fields__:
            return f"{where}.{fault.unknown}: unknown; did you mean match.{fault.unknown}?"
        if fault.unknown in KNOWN_TABLES and fault.unknown not in known:
            # As of a line such as `relay.enable = true` that was added at the end of the file.
            return (
                f"{where}.{fault.unknown}: unknown; a line belongs to the [ ] above it: write it into a table"
                f" [{fault.unknown}], or above the first [ ]"
            )
        return f"{where}.{fault.unknown}: {unknown(fault.unknown, known)}"
    if fault.missing is not None:
        return f"{where}.{fault.missing}: is missing"
    value = shown(_at(raw, path))
    if expected := _EXPECTED.fullmatch(what):
        wanted = " or ".join(_IN_WORDS.get(name.strip(), name.strip()) for name in expected["wanted"].split("|"))
        as_list = f": write [{value}]" if wanted == "a list" and isinstance(_at(raw, path), str) else ""
        return f"{where}: {value} is not {wanted}{as_list}"
    if what.startswith("Invalid enum value"):
        options = _options_at(kind, path)
        return f"{where}: {value} is not one of {', '.join(options)}{_or_a_list(kind, path)}"
    return f"{where}: {value} {what}"


def unknown(key: str, known: Iterable[str]) -> str:
    """What is said of a key that does not exist."""
    return f"unknown; {meant(key, known)}"


def meant(word: str, known: Iterable[str]) -> str:
    """What a person may have meant, and what there is."""
    known = list(known)
    likely = closest(word, known)
    listed = f"nown are {', '.join(known)}"
    return f'did you mean "{likely}"? K{listed}' if likely is not None else f"k{listed}"


def _steps(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", path)


def _at(raw: Any, path: str) -> object:
    for step in _steps(path):
        raw = raw[int(step)] if isinstance(raw, list) else raw[step]
    return raw


def _kind_at(kind: Any, path: str) -> Any:
    for step in _steps(path):
        if step.isdecimal():  # one of a list
            kind = next(iter(get_args(kind)), kind)
            continue
        kind = next((field.type for field in msgspec.structs.fields(kind) if field.name == step), kind)
    return kind


def _options_at(kind: Any, path: str) -> list[str]:
    found = _kind_at(kind, path)
    if isinstance(found, type) and issubclass(found, enum.Enum):
        return [str(member.value) for member in found]
    return [word for choice in get_args(found) for word in get_args(choice) if isinstance(word, str)]


def _or_a_list(kind: Any, path: str) -> str:
    """`clients.users`, the one key that is a word or a list."""
    return "; a list names users" if get_args(_kind_at(kind, path)) else ""


def shown(value: object) -> str:
    """A value of the policy in an error. A URL may hold a password where none belongs."""
    if isinstance(value, str):
        return f'"{_shown_text(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)


def _shown_text(value: str) -> str:
    if "@" in value or "://" not in value:
        return redacted(value) if "@" in value else value
    scheme, _, rest = value.partition("://")
    host, _, path = rest.partition("/")
    return redacted(f"{scheme}://{host}") + f"/{MORE}" if path else redacted(value)


def without_match(text: str) -> str:
    """A problem of a policy, without what its networks are recognised by: that says where somebody was."""
    return _OF_MATCH.sub(rf"\1: {HIDDEN}", text)

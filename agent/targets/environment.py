"""The environment of dockerd: how systemd reads a file of it, how a value is quoted there, and what Go makes of it.

Pure. The rules are those of systemd's src/basic/env-file.c (from 254 on, where a backslash does not continue a
comment), which systemd.exec(5) tells only in part; tests/pure/test_environment.py has them as a table.
Not known here: which files a unit names, and in which order (`systemctl show` and the process say what is in force).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from agent.values.settings import Texts

# What Go looks at, golang.org/x/net/http/httpproxy FromEnvironment: the first that is not empty. Never ALL_PROXY.
HTTP: Final = ("HTTP_PROXY", "http_proxy")
HTTPS: Final = ("HTTPS_PROXY", "https_proxy")
NO_PROXY: Final = ("NO_PROXY", "no_proxy")
NAMES: Final = (*HTTP, *HTTPS, *NO_PROXY)

_BLANK: Final = " \t"
_NEXT = re.compile(r"[ \t\n\r]*(?:[#;][^\n\r]*|(?P<name>[^ \t\n\r#;][^=\n\r]*)(?P<assigned>=)?)")
_SINGLE = re.compile(r"'([^']*)'?")
_DOUBLE = re.compile(r'"((?:\\[\s\S]|[^"\\])*)(?:"|\\?\Z)')
_BARE = re.compile(r"(?:\\[\s\S]|[^\\\n\r])*\\?")
_BARE_PARTS = re.compile(r"\\([\s\S]?)|([^\\]+)")
_ESCAPE = re.compile(r"\\([\s\S])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEEDS_ESCAPE = re.compile(r'(["\\`$])')  # systemd's SHELL_NEED_ESCAPE


def parse(text: str) -> dict[str, str]:
    """The variables that systemd takes from an EnvironmentFile=; nothing of a file that it refuses as a whole."""
    if "\0" in text:
        return {}
    variables: dict[str, str] = {}
    position = 0
    while found := _NEXT.match(text, position):
        position = found.end()
        if not found["assigned"]:  # a comment, or a line without "="
            continue
        value, position = _value(text, position)
        name = found["name"].rstrip(_BLANK)
        if not _is_utf8(name + value):
            return {}
        if _NAME.fullmatch(name):
            variables[name] = value
    return variables


def quoted(value: str) -> str:
    """A value quoted so that `parse` and systemd read exactly it."""
    if "\0" in value or not _is_utf8(value):
        raise ValueError("no environment can hold this value")
    return '"' + _NEEDS_ESCAPE.sub(r"\\\1", value) + '"'


def texts(environment: Mapping[str, str]) -> Texts:
    """What Go programs take from an environment."""
    return Texts(_first(environment, HTTP), _first(environment, HTTPS), _first(environment, NO_PROXY))


def without(values: Mapping[str, str], unset: Iterable[str]) -> dict[str, str]:
    """UnsetEnvironment= comes last: a name removes the variable, an assignment only if it has exactly that value."""
    left = dict(values)
    for entry in unset:
        name, has_value, value = entry.partition("=")
        if not has_value or left.get(name) == value:
            left.pop(name, None)
    return left


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _value(text: str, position: int) -> tuple[str, int]:
    """The value that begins behind a "=", and where it ends: quoted pieces, then perhaps one without quotes."""
    pieces: list[str] = []
    while True:
        while text[position : position + 1] in (" ", "\t"):
            position += 1
        if single := _SINGLE.match(text, position):
            pieces.append(single[1])
            position = single.end()
        elif double := _DOUBLE.match(text, position):
            pieces.append(_ESCAPE.sub(_unescaped, double[1]))
            position = double.end()
        else:
            bare = _BARE.match(text, position)
            assert bare is not None  # noqa: S101 - it matches the empty text, too
            return "".join(pieces) + _without_quotes(bare[0]), bare.end()


def _unescaped(escape: re.Match[str]) -> str:
    """Between double quotes: as a shell does, the backslash stays before what needs none."""
    char = escape[1]
    if char == "\n":
        return ""
    return char if _NEEDS_ESCAPE.match(char) else f"\\{char}"


def _without_quotes(bare: str) -> str:
    """Any character can be escaped, an escaped line break disappears, and unescaped trailing blanks do not count."""
    parts: list[tuple[str, str]] = _BARE_PARTS.findall(bare)
    value = "".join(plain or escaped.strip("\n\r") for escaped, plain in parts)
    last_plain = parts[-1][1] if parts else ""
    return value[: len(value) - len(last_plain) + len(last_plain.rstrip(_BLANK))]


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)

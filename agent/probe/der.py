"""Whose a certificate is, and who signed it: just enough of DER (X.690) to read two names (RFC 5280).

Pure. Nothing is verified: this reads certificates that were rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.values.secret import escaped

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OID: Final = 0x06
_VERSION: Final = 0xA0

_NAMES: Final = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU"}
_ENCODING: Final = {0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}  # all other strings: a byte is a character

Value = tuple[int, bytes]  # tag and content


class Certificate(msgspec.Struct, frozen=True):
    """The two names, escaped and cut."""

    subject: str
    issuer: str

    def __str__(self) -> str:
        return f"certificate of {self.subject}, issued by {self.issuer}"


def certificate(der: bytes) -> Certificate:
    """Raises ValueError if it is not a certificate."""
    parts = _values(_only(_only(der, _SEQUENCE), _SEQUENCE))
    first = next(parts, None)
    if first is not None and first[0] == _VERSION:
        first = next(parts, None)  # the serial number
    _algorithm, issuer, _validity, subject = (next(parts, (0, b"")) for _ in range(4))
    if first is None or issuer[0] != _SEQUENCE or subject[0] != _SEQUENCE:
        raise ValueError("not a certificate")
    return Certificate(subject=_name(subject[1]), issuer=_name(issuer[1]))


def _name(content: bytes) -> str:
    """`CN=…, O=…`; the other attributes tell a person little."""
    found: dict[str, str] = {}
    for tag, relative in _values(content):
        if tag != _SET:
            raise ValueError("not a name")
        for _, attribute in _values(relative):
            (_, oid), (kind, value) = _pair(attribute)
            if oid in _NAMES:
                found.setdefault(_NAMES[oid], value.decode(_ENCODING.get(kind, "latin-1"), errors="replace"))
    return ", ".join(f"{key}={escaped(found[key], 64)}" for key in ("CN", "O", "OU") if key in found) or "nobody"


def _pair(content: bytes) -> tuple[Value, Value]:
    values = list(_values(content))
    if len(values) != 2 or values[0][0] != _OID:
        raise ValueError("not an attribute")
    return values[0], values[1]


def _only(data: bytes, tag: int) -> bytes:
    """The content of the first value, which must be of this tag."""
    found, content = next(_values(data), (None, b""))
    if found != tag:
        raise ValueError("not a certificate")
    return content


def _values(data: bytes) -> Iterator[Value]:
    """The values one after the other; ValueError where the data ends too early."""
    at = 0
    while at < len(data):
        tag, at = data[at], at + 1
        length, at = _length(data, at)
        if at + length > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + length]
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError("cut off")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    octets = first & 0x7F
    if not 0 < octets <= 4 or at + octets >= len(data):
        raise ValueError("no length of DER")
    return int.from_bytes(data[at + 1 : at + 1 + octets], "big"), at + 1 + octets

"""One record as a line, and how each is chained to the one before.

Pure. A line is one JSON object; its last member is `hash`, the SHA-256 of the bytes of the object without that member,
and `prev` is the hash of the record before. So no change of a line goes unnoticed, not even of a space. To check one
with `sed` and `sha256sum`:

    sed 's/,"hash":"[0-9a-f]*"}$/}/' LINE | tr -d '\\n' | sha256sum
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec

SCHEMA: Final = 2  # docs/audit.md
GENESIS: Final = "0" * 64  # `prev` of the first record ever

_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_SEAL_LENGTH: Final = len(',"hash":""}') + 64


class Anchor(msgspec.Struct, frozen=True):
    """Where the chain ended at some moment; kept outside of the log."""

    seq: int
    hash: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of the audit log; the order of the fields is their order in the line."""

    v: int = 1  # of the schema: 1 had no number, host, severity and by
    ts: str  # RFC 3339, UTC, microseconds; unlike seq, it may go backwards
    seq: int
    host: str = ""
    boot_id: str
    pass_id: str = msgspec.field(name="pass")  # '' outside of a pass
    event: str  # a str: an older agent may read it, which knows fewer events
    severity: str = ""  # one of `events.Severity`, or of a newer agent's
    trigger: str
    by: dict[str, Any] | None = None  # who asked: `asker.Asker`, or of a newer agent
    facts: dict[str, Any]  # as `facts.plain` made them
    prev: str
    hash: str = ""  # '' until it is sealed

    @property
    def anchor(self) -> Anchor:
        return Anchor(self.seq, self.hash)


_DECODER: Final = msgspec.json.Decoder(Entry)


def sealed(entry: Entry) -> tuple[bytes, Anchor]:
    """The entry's line, with its newline, and its anchor."""
    body = msgspec.json.encode(msgspec.structs.replace(entry, hash=""))
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + f',"hash":"{digest}"}}\n'.encode(), Anchor(entry.seq, digest)


def opened(line: bytes) -> Entry | None:
    """The entry of a line without its newline. None if it is not a record, or its hash is wrong."""
    seal = _SEAL.fullmatch(line[-_SEAL_LENGTH:])
    if seal is None or hashlib.sha256(line[:-_SEAL_LENGTH] + b"}").hexdigest().encode() != seal[1]:
        return None
    return decoded(line)


def decoded(line: bytes) -> Entry | None:
    """The entry of a line, without checking its hash."""
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None

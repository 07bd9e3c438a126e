"""Which headers go on, and which were for this hop only (RFC 9110, 7.6.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from agent.values.relay import SAYS

Headers = Sequence[tuple[bytes, bytes]]  # names as they were spelled

# The client's Proxy-Authorization was for us, and we want none; what an upstream says so is for us, too.
_FOR_PROXIES: Final = b"proxy-"
_OF_THIS_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        SAYS,  # of this relay alone, so that nobody speaks in its name
    }
)
# A client that names them in Connection wants them dropped on the way, so that two servers see two requests.
_NEVER_LOST: Final = frozenset({b"host", b"content-length", b"authorization", b"cookie", b"via", b"expect"})
_NO_UPGRADE: Final = b"h2c"  # Java offers it with every request; through us it would be a tunnel that nobody asked for


def end_to_end(headers: Headers) -> Headers:
    """Without what was for this hop."""
    lost = _OF_THIS_HOP | (set(tokens(headers, b"connection")) - _NEVER_LOST)
    return tuple((name, value) for name, value in headers if not _is_lost(name.lower(), lost))


def _is_lost(name: bytes, lost: Collection[bytes]) -> bool:
    return name in lost or name.startswith(_FOR_PROXIES)


def without(headers: Headers, *names: bytes) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() not in names)


def is_chunked(headers: Headers) -> bool:
    """Only chunks are known: anything else has been refused."""
    return any(name.lower() == b"transfer-encoding" for name, _ in headers)


def upgrade(headers: Headers) -> bytes:
    """The protocol that is offered; b"" if none is."""
    offered = [value for name, value in headers if name.lower() == b"upgrade"]
    if len(offered) != 1 or b"upgrade" not in tokens(headers, b"connection"):
        return b""
    return b"" if _NO_UPGRADE in tokens(headers, b"upgrade") else offered[0]


def expectations(headers: Headers) -> tuple[bytes, ...]:
    """What is expected before the body."""
    return tokens(headers, b"expect")


def passed_on_by(headers: Headers, name: bytes, version: bytes = b"1.1") -> Headers:
    """With our own name for the next hop (Via)."""
    return (*headers, (b"Via", b"%s %s" % (version, name)))


def were_passed_on_by(headers: Headers, name: bytes) -> bool:
    """Whether they have been here before."""
    return any(name.lower() in hop.split(b" ") for hop in tokens(headers, b"via"))


def tokens(headers: Headers, name: bytes) -> tuple[bytes, ...]:
    """Of a list, in lower case."""
    lists = (value.lower().split(b",") for header, value in headers if header.lower() == name)
    return tuple(token for tokens in lists for token in (one.strip(b" \t") for one in tokens) if token)

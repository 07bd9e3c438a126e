"""What h11 lets pass, and a proxy must not.

A server that misreads an ambiguous request harms only itself. A proxy passes it on, and if two readers understand it
differently, only one of them has checked the real request (request smuggling, RFC 9112, 11.2). So nothing is corrected
here; every ambiguity is an error that says what is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from agent.relay.refusals import Refusal, malformed

HTTP_PORT: Final = 80

# A line feed without a carriage return, or the other way round; a line that begins with a blank (obs-fold), and
# controls. h11 takes the first and the third, and any control but NUL in a value.
_DOUBTFUL: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WHAT: Final = {
    b"\n": "a line feed without a carriage return",
    b"\r": "a carriage return without a line feed",
    b"\n ": "a folded header",
    b"\n\t": "a folded header",
}
_TOKEN_CHARACTER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")  # "_": Compose's services have it
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_LONGEST_NAME: Final = 254  # with a dot at its end


def doubtful(head: bytes | bytearray, start: int = 0) -> Refusal | None:
    """What makes these bytes of a head doubtful. The last two may want what is yet to come: they pass."""
    found = _DOUBTFUL.search(head, max(0, start - 1))
    if found is None or (found[0] == b"\r" and found.end() == len(head)):
        return None
    return malformed(f"{_WHAT.get(bytes(found[0]), 'a control character')} in the head of the request")


def begins_a_request(first: int) -> bool:
    """Whether a method can begin with this byte. TLS and SOCKS do not."""
    return _TOKEN_CHARACTER.match(bytes([first])) is not None


_FRAMING: Final = re.compile(rb"\r\n(?i:(content-length)|transfer-encoding):([^\r]*)")


def framing(head: bytes) -> Refusal | None:
    """What makes it doubtful where the body ends. h11 merges two equal lengths, and prefers chunks to a length."""
    found = _FRAMING.findall(head)
    if not found:
        return None
    lengths = [value for is_length, value in found if is_length]
    if len(lengths) > 1 or any(b"," in value for value in lengths):
        return malformed("more than one Content-Length")
    if len(found) - len(lengths) > 1:
        return malformed("more than one Transfer-Encoding")
    if len(found) > 1:
        return malformed("both Content-Length and Transfer-Encoding")
    if not lengths and head.partition(b"\r\n")[0].endswith(b" HTTP/1.0"):
        return malformed("Transfer-Encoding in HTTP/1.0")
    return None


_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")


def in_ascii(head: bytes) -> bytes:
    """With the URL as a browser writes it, %-quoted: to a proxy, curl sends what it was given. h11 refuses that."""
    line, end, headers = head.partition(b"\r\n")
    if line.isascii():
        return head
    method, blank, url = line.partition(b" ")
    return method + blank + _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], url) + end + headers


class Doubtful(ValueError):
    """What is wrong, in a few words."""


def end_of(text: bytes, default_port: int | None = None) -> tuple[str, int]:
    """The host, in lower case and one spelling, and the port of `host:port`. Raises Doubtful.

    A host that libc would take for an IPv4 address, and nobody else, is refused: 2130706433, 0x7f.1, 127.1.
    """
    try:
        authority = text.decode("ascii")
    except UnicodeDecodeError:
        raise Doubtful("a host that is not ASCII") from None
    if "@" in authority:
        raise Doubtful("a user in the host")
    if authority.startswith("["):
        literal, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise Doubtful("a broken IPv6 address")
        host, port = _ipv6(literal), rest[1:] if rest else None
    else:
        name, colon, after = authority.partition(":")
        host, port = _name_or_ipv4(name), after if colon else None
    if port is None:
        if default_port is None:
            raise Doubtful("no port")
        return host, default_port
    if not _PORT.fullmatch(port) or int(port) > 0xFFFF:
        raise Doubtful("no such port")
    return host, int(port)


def _ipv6(literal: str) -> str:
    try:
        address = ipaddress.IPv6Address(literal)
    except ValueError:
        raise Doubtful("a broken IPv6 address") from None
    if address.scope_id is not None:
        raise Doubtful("an IPv6 address with a zone")
    return str(address.ipv4_mapped or address)  # ::ffff:127.0.0.1 leads where 127.0.0.1 does


def _name_or_ipv4(name: str) -> str:
    if not name:
        raise Doubtful("no host")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise Doubtful("a host that is not a name")
    if not _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]):
        return name.lower()
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        raise Doubtful("a number that is not an IPv4 address") from None

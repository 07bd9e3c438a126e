"""How a proxy is asked for a connection to host:port: CONNECT (RFC 9110) and SOCKS5 (RFC 1928, 1929).

Bytes in, bytes out, and a refusal becomes an outcome. As dockerd does (FACTS 8), names go to the proxy unresolved, for
socks5 and socks5h alike; Basic is sent at once and is the only scheme; and only 200 is success.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Generator, Iterable
from typing import Final

from agent.probe.exchange import Dialogue, DialogueFailed, Headers, HttpAnswer, as_text, ask, authority
from agent.probe.redirect import destination
from agent.values.settings import Credentials, Masked, ProxyUrl
from agent.values.verdict import BY_ITS_LIMITS, Outcome

Handshake = Dialogue[bytes]  # returns what was received after it


def handshake(proxy: ProxyUrl, host: str, port: int) -> Handshake:
    """The handshake for this proxy."""
    spoken = socks5 if proxy.scheme.is_socks else connect
    return spoken(host, port, known(proxy))


def known(proxy: ProxyUrl) -> Credentials | None:
    """The credentials to send. Those that dockerd reports are masked, and cannot be sent."""
    if isinstance(proxy.credentials, Masked):
        raise TypeError("masked credentials cannot be sent")
    return proxy.credentials


def connect(host: str, port: int, credentials: Credentials | None = None) -> Handshake:
    """An HTTP proxy."""
    end = authority(host, port)
    answer = yield from ask(b"CONNECT", end, end, authorization(credentials))
    if answer.status == 200:
        return answer.rest
    if answer.status == 401 and credentials is not None:  # tinyproxy says so; a proxy that wants none says 407
        raise DialogueFailed(Outcome.PROXY_AUTH, f"{answer.words} to CONNECT: refuses the user and password")
    raise _refusal(answer)


def authorization(credentials: Credentials | None) -> Headers:
    """Basic, in UTF-8. As in Go, a missing password is sent as an empty one."""
    if credentials is None:
        return ()
    password = "" if credentials.password is None else credentials.password.reveal()
    basic = base64.b64encode(f"{credentials.username}:{password}".encode())
    return ((b"Proxy-Authorization", b"Basic " + basic),)


def _refusal(answer: HttpAnswer) -> DialogueFailed:
    if answer.status == 407:
        return DialogueFailed(Outcome.PROXY_AUTH, auth_wanted(answer))
    if 300 <= answer.status < 400:
        return DialogueFailed(Outcome.PORTAL, f"{answer.status} {destination(answer)}")
    if answer.status == 511:
        return DialogueFailed(Outcome.PORTAL, f"{answer.words} to CONNECT")
    if 400 <= answer.status < 500:
        return DialogueFailed(Outcome.PROXY_DENIED, f"{answer.words} to CONNECT")
    if answer.status >= 500:
        return DialogueFailed(Outcome.PROXY_DOWN, f"{answer.words} to CONNECT{BY_ITS_LIMITS * answer.is_by_limits}")
    return DialogueFailed(Outcome.ERROR, f"{answer.words} to CONNECT, not 200")


_OF_A_DOMAIN: Final = frozenset({"ntlm", "negotiate", "kerberos"})
_ANSWERED_BY_DOCKER: Final = "basic"
_SCHEMES: Final = _OF_A_DOMAIN | {"basic", "bearer", "digest"}
_UNKNOWN: Final = "an unknown scheme"
_MOST_SCHEMES: Final = 8
_READ_OF_THEM: Final = 4096  # bytes; a list of 64 KB would take as long as a hundred answers


def auth_wanted(answer: HttpAnswer) -> str:
    """What a 407 asks for; and what to do if Docker cannot answer it."""
    offered = schemes(answer.values(b"proxy-authenticate"))
    if not offered:
        return "407, does not say what it asks for"
    said, kinds = f"407, asks for {', '.join(offered)}", {scheme.lower() for scheme in offered}
    if _ANSWERED_BY_DOCKER in kinds or kinds.isdisjoint(_OF_A_DOMAIN):
        return said
    return f"{said}, which Docker does not support: run px, cntlm or alpaca on 127.0.0.1, and name that as the upstream"


_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^",])+')  # of a list; a comma within quotes does not count
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,29})(?:\s+(?!=)|\s*$)")


def schemes(challenges: Iterable[str]) -> tuple[str, ...]:
    """The schemes of Proxy-Authenticate: one per header, or a list with parameters.

    Only those that are known are named: the proxy's word for another may be anything, even our password.
    """
    found: dict[str, None] = {}
    left = _READ_OF_THEM
    for value in challenges:
        for part in _PART.findall(value[:left]):
            if match := _SCHEME.match(part):
                found[match[1] if match[1].lower() in _SCHEMES else _UNKNOWN] = None
        left -= len(value)
        if left <= 0:
            break
    return tuple(found)[:_MOST_SCHEMES]


_NO_AUTH: Final = 0
_PASSWORD: Final = 2
_NONE_ACCEPTABLE: Final = 0xFF

# What the proxy cannot do now is soft, what it refuses is hard.
REPLIES: Final = {
    1: (Outcome.PROXY_DOWN, "general failure"),
    2: (Outcome.PROXY_DENIED, "not allowed by its rules"),
    3: (Outcome.PROXY_DOWN, "network unreachable"),
    4: (Outcome.PROXY_DOWN, "host unreachable"),
    5: (Outcome.PROXY_DOWN, "connection refused"),
    6: (Outcome.PROXY_DOWN, "TTL expired"),
    7: (Outcome.PROXY_DENIED, "command not supported"),
    8: (Outcome.PROXY_DENIED, "address type not supported"),
}
_ADDRESS_LENGTH: Final = {1: 4, 4: 16}


def socks5(host: str, port: int, credentials: Credentials | None = None) -> Handshake:
    """A SOCKS5 proxy."""
    request = b"\x05\x01\x00" + _end(host) + port.to_bytes(2, "big")
    login = _login(credentials) if credentials else None
    methods = bytes([_NO_AUTH, _PASSWORD] if login else [_NO_AUTH])
    (version, method), received = yield from _exactly(2, b"", bytes([5, len(methods)]) + methods)
    if version != 5:
        raise DialogueFailed(Outcome.ERROR, f"not SOCKS5: {as_text(bytes([version, method]) + received)}")
    if method == _NONE_ACCEPTABLE:
        raise DialogueFailed(Outcome.PROXY_AUTH, f"SOCKS: asks for a login other than {_offered(login)}")
    if method not in methods:
        raise DialogueFailed(Outcome.ERROR, f"SOCKS: chose method {method}, which was not offered")
    if method == _PASSWORD and login:
        (_, status), received = yield from _exactly(2, received, login)
        if status != 0:
            raise DialogueFailed(Outcome.PROXY_AUTH, "SOCKS: refuses the user and password")
    (version, reply, _, kind), received = yield from _exactly(4, received, request)
    if version != 5 or reply != 0:
        outcome, words = REPLIES.get(reply if version == 5 else -1, (Outcome.ERROR, f"invalid answer ({reply})"))
        raise DialogueFailed(outcome, f"SOCKS: {words}")
    length = _ADDRESS_LENGTH.get(kind)
    if length is None:
        (length,), received = yield from _exactly(1, received)
    _, received = yield from _exactly(length + 2, received)  # the address that it connected from is not needed
    return received


def _exactly(length: int, received: bytes, to_send: bytes = b"") -> Generator[bytes, bytes, tuple[bytes, bytes]]:
    """Send, then receive `length` bytes, and whatever came after them."""
    if to_send and received:
        raise DialogueFailed(Outcome.ERROR, "SOCKS: answers before it is asked")
    while to_send or len(received) < length:
        more = yield to_send
        if not more:
            what = "closed in the middle of its answer" if received else "closed without an answer"
            raise DialogueFailed(Outcome.ERROR, f"SOCKS: {what}")
        to_send = b""
        received += more
    return received[:length], received[length:]


def _end(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        if not 0 < len(name) < 256:
            raise DialogueFailed(Outcome.ERROR, "SOCKS: the registry's name is too long") from None
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


def _login(credentials: Credentials) -> bytes:
    user = credentials.username.encode()
    password = b"" if credentials.password is None else credentials.password.reveal().encode()
    if not 0 < len(user) < 256 or len(password) > 255:
        raise DialogueFailed(Outcome.PROXY_AUTH, "SOCKS: user and password may have at most 255 bytes")
    return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password


def _offered(login: bytes | None) -> str:
    return "user and password" if login else "none"

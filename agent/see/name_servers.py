"""Whether a DNS server knows a name: one question over UDP, to that server and no other.

The system's resolver cannot be told which server to ask. Only the header of the answer counts; its addresses are not
read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

_PORT: Final = 53
_WITHIN_S: Final = 0.5
_MOST_SERVERS: Final = 3  # MAXNS of glibc's resolv.h, and as many as Docker's resolver asks; each may not answer
_LONGEST_LABEL: Final = 63
_MOST_DOMAINS: Final = 6  # MAXDNSRCH of glibc's resolv.h before 2.26; each is a question
_RECURSE: Final = 0x0100
_IS_ANSWER: Final = 0x8000
_NO_SUCH_NAME: Final = 3
_A_IN: Final = b"\x00\x01\x00\x01"


class ContainerDns(msgspec.Struct, frozen=True):
    """The servers that containers ask, and where they are named."""

    servers: tuple[str, ...]  # none: not known
    search: tuple[str, ...]
    named_in: str


def spellings(name: str, search: Sequence[str]) -> tuple[str, ...]:
    """All names that are looked up for one; with a dot at its end only that one: resolv.conf(5)."""
    domains = () if name.endswith(".") else search[:_MOST_DOMAINS]
    return (name, *(f"{name}.{domain}" for domain in domains))


async def unknown_to(servers: Sequence[str], names: Sequence[str], port: int = _PORT) -> bool:
    """Whether they know none of these names. Asked side by side, so that a silent server costs its wait only once."""
    answers = await asyncio.gather(*(_is_unknown(servers[:_MOST_SERVERS], name, port) for name in names))
    return bool(answers) and all(answers)


async def _is_unknown(servers: Sequence[str], name: str, port: int) -> bool:
    """Whether the first server that answers says that the name does not exist. Silence is not an answer."""
    for server in servers:
        try:
            ipaddress.ip_address(server)
            async with asyncio.timeout(_WITHIN_S):
                return await _ask(server, name, port)
        except (OSError, ValueError):  # TimeoutError is an OSError; the next server is asked, as containers do
            continue
    return False


async def _ask(server: str, name: str, port: int) -> bool:
    number = secrets.token_bytes(2)
    question = number + _RECURSE.to_bytes(2) + b"\x00\x01" + bytes(6) + _labels(name) + _A_IN
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _DnsAnswer(number, answered), remote_addr=(server, port)
    )
    try:
        transport.sendto(question)
        head = await answered
    finally:
        transport.close()
    return head[3] & 0x0F == _NO_SUCH_NAME


def _labels(name: str) -> bytes:
    """ValueError: not a name that can be asked for."""
    labels = [label.encode("ascii" if label.isascii() else "idna") for label in name.removesuffix(".").split(".")]
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(name)
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


class _DnsAnswer(asyncio.DatagramProtocol):
    def __init__(self, number: bytes, answered: asyncio.Future[bytes]) -> None:
        self._number = number
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - it is connected
        is_answer = len(data) >= 12 and data[:2] == self._number and data[2] & (_IS_ANSWER >> 8)
        if is_answer and not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)

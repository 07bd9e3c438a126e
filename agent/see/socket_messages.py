"""Who listens, in sock_diag's bytes.

Pure, as `netlink_messages.py` is. Layouts and numbers: linux/sock_diag.h, inet_diag.h. Ports and addresses are in the
network's byte order.

Not /proc/net/tcp: it lists every connection (10 000 of them take 50 ms, this 0.05), and does not say which socket of
IPv6 takes IPv4 as well, nor to which interface one is bound (FACTS 91).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Sequence
from socket import AF_INET, AF_INET6, IPPROTO_TCP
from typing import Final

from agent.listening import Listener
from agent.see.netlink_messages import Garbled, Message, Request, attributes_in, head

NETLINK_SOCK_DIAG: Final = 4  # the socket module does not name it
SOCK_DIAG_BY_FAMILY: Final = 20

_STATES_LISTEN: Final = 1 << 10  # TCP_LISTEN
_INET_DIAG_SKV6ONLY: Final = 11
_NO_COOKIE: Final = b"\xff" * 8
_MAPPED: Final = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96

_REQUEST: Final = struct.Struct("=BBBxI")  # struct inet_diag_req_v2: family, protocol, extensions, states; then the id
_ID: Final = struct.Struct("!HH16s16s")  # struct inet_diag_sockid: ports and addresses, source and destination; …
_BOUND: Final = struct.Struct("=IQ")  # … interface, cookie
_ANSWER: Final = struct.Struct("=BBBB")  # struct inet_diag_msg: family, state, timer, retransmits; the id; …
_TAIL: Final = struct.Struct("=IIIII")  # … expires, read queue, write queue, uid, inode
_WHOLE: Final = struct.Struct(f"={_ANSWER.size + _ID.size + _BOUND.size + _TAIL.size}s")


_BYTECODE: Final = 1  # INET_DIAG_REQ_BYTECODE
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type
_JMP, _S_COND = 1, 7  # INET_DIAG_BC_*
_OP: Final = struct.Struct("=BBH")  # struct inet_diag_bc_op: code, and how far to go on if it is so, and if not
_HOST: Final = struct.Struct("=BBxxi")  # struct inet_diag_hostcond: family, prefix, port; then the address
_ANY_PORT: Final = -1


def listeners_requests(port: int, addresses: Iterable[str] = ()) -> tuple[Request, Request]:
    """All that listen at a TCP port, of IPv4 and of IPv6; or those that may take a connection to one of the addresses.

    The kernel sorts out the others: anybody may listen at the port on each of the 16 million addresses of 127/8.
    """
    which = _ID.pack(port, 0, b"", b"") + _BOUND.pack(0, 0)[:4] + _NO_COOKIE
    wanted = [ipaddress.ip_address(address) for address in addresses]
    return tuple(  # type: ignore[return-value]
        Request(
            SOCK_DIAG_BY_FAMILY,
            _REQUEST.pack(family, IPPROTO_TCP, 0, _STATES_LISTEN)
            + which
            + (_filter(family, wanted) if wanted else b""),
            protocol=NETLINK_SOCK_DIAG,
        )
        for family in (AF_INET, AF_INET6)
    )


def _filter(family: int, wanted: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> bytes:
    """One of the addresses, or the wildcard: a program for inet_diag_bc_run. Nothing, if all are wanted."""
    if not wanted:
        return b""
    spelled = dict.fromkeys(packed for one in wanted for packed in _spelled(family, one))
    # Where none is of this family the wildcard alone is asked for.
    addresses = tuple(spelled) or (bytes(4 if family == AF_INET else 16),)
    conditions = [_HOST.pack(family, len(address) * 8, _ANY_PORT) + address for address in addresses]
    length = _OP.size + len(conditions[0])
    program = b""
    for left, condition in zip(range(len(conditions) - 1, -1, -1), conditions, strict=True):
        # If it is not this one: behind the jump, to the next; after the last behind the end, which is a no.
        program += _OP.pack(_S_COND, length, length + _OP.size) + condition
        if left:
            program += _OP.pack(_JMP, _OP.size, left * (length + _OP.size))
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(program), _BYTECODE) + program


def _spelled(family: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[bytes]:
    """As a socket of that family may be bound to take a connection to the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if family == AF_INET6:
            yield from (address.packed, bytes(16))
    elif family == AF_INET:
        yield from (address.packed, bytes(4))
    else:
        yield from (_MAPPED + address.packed, _MAPPED + bytes(4), bytes(16))


def listener(message: Message) -> Listener | None:
    """None if the message is about something else."""
    if message.type != SOCK_DIAG_BY_FAMILY:
        return None
    (whole,) = head(_WHOLE, message.body)
    family, *_ = _ANSWER.unpack_from(whole)
    port, _to, source, _destination = _ID.unpack_from(whole, _ANSWER.size)
    interface, cookie = _BOUND.unpack_from(whole, _ANSWER.size + _ID.size)
    *_, uid, _inode = _TAIL.unpack_from(whole, _ANSWER.size + _ID.size + _BOUND.size)
    if family == AF_INET:
        return Listener(str(ipaddress.IPv4Address(source[:4])), port, uid, cookie, interface=interface)
    if family != AF_INET6:
        raise Garbled(f"a listener of family {family}")
    only = attributes_in(message.body[_WHOLE.size :]).get(_INET_DIAG_SKV6ONLY)
    if not only:
        raise Garbled("a listener of IPv6 that does not say whether it takes IPv4, too")
    address = ipaddress.IPv6Address(source)
    return Listener(str(address.ipv4_mapped or address), port, uid, cookie, only != b"\0", interface)

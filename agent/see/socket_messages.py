"""Who listens, who is connected, and how many wait to be, in sock_diag's bytes.

Pure, like `netlink_messages.py`. Layouts and numbers: linux/sock_diag.h, inet_diag.h. Ports and addresses are in
network byte order.

Not /proc/net/tcp: it lists every connection (10 000 of them take 50 ms, this 0.05), and does not say which IPv6 socket
also takes IPv4, nor which interface a socket is bound to (FACTS 91).
"""

from __future__ import annotations

import ipaddress
import struct
from socket import AF_INET, AF_INET6, IPPROTO_TCP, inet_pton
from typing import Final

from agent.see.netlink_messages import Garbled, KernelRequest, Message, attributes_in, head
from agent.values.listening import Backlog, Listener

NETLINK_SOCK_DIAG: Final = 4  # the socket module does not name it
SOCK_DIAG_BY_FAMILY: Final = 20

_STATES_LISTEN: Final = 1 << 10  # TCP_LISTEN
_STATES_ALL: Final = 0xFFFFFFFF
_INET_DIAG_SKMEMINFO: Final = 7
_INET_DIAG_SKV6ONLY: Final = 11
_SK_MEMINFO_DROPS: Final = 8  # which of its numbers of 32 bits
_NO_COOKIE: Final = b"\xff" * 8

_REQUEST: Final = struct.Struct("=BBBxI")  # struct inet_diag_req_v2: family, protocol, extensions, states; then the id
_ID: Final = struct.Struct("!HH16s16s")  # struct inet_diag_sockid: ports and addresses, source and destination; …
_BOUND: Final = struct.Struct("=IQ")  # … interface, cookie
_ANSWER: Final = struct.Struct("=BBBB")  # struct inet_diag_msg: family, state, timer, retransmits; the id; …
_TAIL: Final = struct.Struct("=IIIII")  # … expires, read queue, write queue, uid, inode
_NUMBER: Final = struct.Struct("=I")
_WHOLE: Final = struct.Struct(f"={_ANSWER.size + _ID.size + _BOUND.size + _TAIL.size}s")


def listener_request(address: str, port: int, interface: int = 0) -> KernelRequest:
    """The socket that would take a connection to the address through the interface; 0: one that is bound to none.

    Not a list of all at the port: any user may have 100 000 there, besides the one that counts ([::] for IPv6 alone,
    the other 16 million addresses of 127/8). The kernel finds the right one, as it does for a connection.
    """
    host = ipaddress.ip_address(address)
    family = AF_INET if host.version == 4 else AF_INET6
    which = _ID.pack(port, 0, host.packed, b"") + _BOUND.pack(interface, 0)[:4] + _NO_COOKIE
    body = _REQUEST.pack(family, IPPROTO_TCP, 0, _STATES_LISTEN) + which
    return KernelRequest(SOCK_DIAG_BY_FAMILY, body, is_dump=False, protocol=NETLINK_SOCK_DIAG)


def connection_request(near: tuple[str, int], far: tuple[str, int]) -> KernelRequest:
    """The socket of this host that is connected from one end, its own, to the other."""
    family = AF_INET6 if ":" in near[0] else AF_INET
    own, other = inet_pton(family, near[0]), inet_pton(family, far[0])
    which = _ID.pack(near[1], far[1], own, other) + _BOUND.pack(0, 0)[:4] + _NO_COOKIE
    body = _REQUEST.pack(family, IPPROTO_TCP, 0, _STATES_ALL) + which
    return KernelRequest(SOCK_DIAG_BY_FAMILY, body, is_dump=False, protocol=NETLINK_SOCK_DIAG)


def uid_behind(message: Message, far_port: int) -> int | None:
    """The user of a socket that is connected to that port; None if the message is about something else.

    And if nobody has it open any more: whoever it was that closed it, the kernel says that it is root's (FACTS 240).
    """
    if message.type != SOCK_DIAG_BY_FAMILY:
        return None
    (whole,) = head(_WHOLE, message.body)
    _port, to, _source, _destination = _ID.unpack_from(whole, _ANSWER.size)
    *_, uid, inode = _TAIL.unpack_from(whole, _ANSWER.size + _ID.size + _BOUND.size)
    return int(uid) if to == far_port and inode else None  # else it is the listener that would take one from there


def backlog_request(address: str, port: int) -> KernelRequest:
    """As `listener_request`, and how much it holds and has dropped."""
    host = ipaddress.ip_address(address)
    family = AF_INET if host.version == 4 else AF_INET6
    which = _ID.pack(port, 0, host.packed, b"") + _BOUND.pack(0, 0)[:4] + _NO_COOKIE
    wanted = 1 << (_INET_DIAG_SKMEMINFO - 1)
    body = _REQUEST.pack(family, IPPROTO_TCP, wanted, _STATES_LISTEN) + which
    return KernelRequest(SOCK_DIAG_BY_FAMILY, body, is_dump=False, protocol=NETLINK_SOCK_DIAG)


def backlog(message: Message) -> Backlog | None:
    """Of a listening socket, whose two queues are connections that wait to be accepted and how many may."""
    if message.type != SOCK_DIAG_BY_FAMILY:
        return None
    (whole,) = head(_WHOLE, message.body)
    _interface, cookie = _BOUND.unpack_from(whole, _ANSWER.size + _ID.size)
    _expires, waiting, most, _uid, _inode = _TAIL.unpack_from(whole, _ANSWER.size + _ID.size + _BOUND.size)
    memory = attributes_in(message.body[_WHOLE.size :]).get(_INET_DIAG_SKMEMINFO, b"")
    at = _SK_MEMINFO_DROPS * _NUMBER.size
    dropped = int(_NUMBER.unpack_from(memory, at)[0]) if len(memory) >= at + _NUMBER.size else 0
    return Backlog(cookie, waiting, most, dropped=dropped)


def nothing_request() -> KernelRequest:
    """Asks for no socket: whether this kernel answers for TCP. One that does not looks as if nobody listened."""
    body = _REQUEST.pack(AF_INET, IPPROTO_TCP, 0, 0) + _ID.pack(0, 0, b"", b"") + _BOUND.pack(0, 0)[:4] + _NO_COOKIE
    return KernelRequest(SOCK_DIAG_BY_FAMILY, body, protocol=NETLINK_SOCK_DIAG)


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
    return Listener(
        str(address.ipv4_mapped or address), port, uid, cookie, is_ipv6_only=only != b"\0", interface=interface
    )

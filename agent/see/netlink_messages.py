"""Netlink's bytes: seven questions about the network, and what the kernel's answers mean.

Pure: requests become bytes, and datagrams become values. Not known here: sockets, retries and time-outs (`netlink.py`),
and what the routes say about the host (`routes.py`).
Layouts and numbers: linux/netlink.h, rtnetlink.h, if_link.h, neighbour.h, genetlink.h, nl80211.h. Numbers are in this
machine's byte order, addresses in network byte order.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from collections.abc import Iterator
from socket import AF_INET, AF_INET6, AF_UNSPEC, NETLINK_ROUTE
from typing import Any, Final

import msgspec

from agent.values.errors import AgentError

_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct rtattr: length, type
_LINK: Final = struct.Struct("=BxHiII")  # struct ifinfomsg: family, hardware, index, flags, change
# struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_ROUTE: Final = struct.Struct("=8BI")
_HOP: Final = struct.Struct("=HBBi")  # struct rtnexthop: length, flags, weight, interface
_ADDRESS: Final = struct.Struct("=4BI")  # struct ifaddrmsg: family, prefix length, flags, scope, interface
_NEIGHBOUR: Final = struct.Struct("=BxxxiHBB")  # struct ndmsg: family, interface, state, flags, type
_GENERIC: Final = struct.Struct("=BBxx")  # struct genlmsghdr: command, version
_ERRNO: Final = struct.Struct("=i")
_FAMILY: Final = struct.Struct("=H")

NETLINK_GENERIC: Final = 16  # the socket module does not name it

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 1, 2, 3, 4
NLM_F_REQUEST, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x10, 0x300
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWLINK, RTM_GETLINK, RTM_NEWROUTE, RTM_GETROUTE, RTM_NEWNEIGH, RTM_GETNEIGH = 16, 18, 24, 26, 28, 30

_IFLA_IFNAME, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_EXT_MASK, _IFLA_CARRIER = 3, 5, 10, 18, 29, 33
_IFLA_LINK_NETNSID: Final = 37
_LOWER: Final = frozenset({_IFLA_LINK, _IFLA_LINK_NETNSID})
_IFLA_INFO_KIND: Final = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL = 1, 2, 3
_ARPHRD_ETHER: Final = 1
_RTEXT_FILTER_SKIP_STATS: Final = 0x8
_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_NOARP, _IFF_LOWER_UP = 0x1, 0x8, 0x10, 0x80, 0x10000
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 7, 9, 15, 18
RT_TABLE_MAIN: Final = 254  # linux/rtnetlink.h
_RTM_F_LOOKUP_TABLE: Final = 0x1000  # without it the answer always says table 254 (FACTS 29)
_RTN_UNICAST: Final = 1  # the other types deliver locally, or refuse
_RTN_HERE: Final = frozenset({2, 3, 4})  # LOCAL, BROADCAST, ANYCAST: this host takes it, alone or with others
_NDA_DST, _NDA_LLADDR, _NDA_MASTER = 1, 2, 9
_AF_BRIDGE: Final = 7

GENL_ID_CTRL: Final = 16
_CTRL_CMD_NEWFAMILY, _CTRL_CMD_GETFAMILY = 1, 3
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 1, 2
_NL80211_CMD_GET_INTERFACE, _NL80211_CMD_NEW_INTERFACE = 5, 7
_NL80211_ATTR_IFNAME, _NL80211_ATTR_IFTYPE, _NL80211_ATTR_SSID = 4, 5, 52
_NL80211_IFTYPE_AP, _NL80211_IFTYPE_P2P_GO = 3, 9

_TYPE_OF_ATTRIBUTE: Final = 0x3FFF  # the two bits above are flags


class Garbled(AgentError):
    """Bytes that are not a netlink message."""

    def __init__(self, what: str) -> None:
        super().__init__("netlink", f"the kernel's answer cannot be read: {what}")


class KernelRequest(msgspec.Struct, frozen=True):
    """One question."""

    type: int
    body: bytes
    is_dump: bool = True
    protocol: int = NETLINK_ROUTE

    def encode(self, sequence: int) -> bytes:
        flags = NLM_F_REQUEST | (NLM_F_DUMP if self.is_dump else 0)
        return _HEADER.pack(_HEADER.size + len(self.body), self.type, flags, sequence, 0) + self.body


class Message(msgspec.Struct, frozen=True):
    """One message of an answer."""

    type: int
    flags: int
    sequence: int
    body: bytes


class Link(msgspec.Struct, frozen=True):
    """An interface, as the kernel describes it."""

    index: int
    name: str
    has_carrier: bool
    has_neighbours: bool  # whether addresses behind it have MACs; those of a tunnel have none
    is_ethernet: bool = True  # as a tap is, and a tun is not
    kind: str = ""  # "bridge", "veth", "tun" …; '' for hardware, and where a special driver made it
    master: int = 0  # the bridge or bond that it is a port of; 0: none
    below: int = 0  # the interface below a VLAN; 0: none, or none in this namespace
    ends_elsewhere: bool = False  # its other end, or what is below it, is in another network namespace


class Radio(msgspec.Struct, frozen=True):
    """A Wi-Fi interface that is in a network."""

    name: str
    ssid: str


class Hop(msgspec.Struct, frozen=True):
    """Where a route goes next."""

    interface: int  # its index
    gateway: str | None = None  # None: the destination is on the link itself, or the link is a tunnel


class Route(msgspec.Struct, frozen=True):
    """A route with one hop, or with several side by side."""

    hops: tuple[Hop, ...]
    table: int
    source: str | None = None


class Neighbour(msgspec.Struct, frozen=True):
    """A resolved address on a link."""

    interface: int  # its index
    address: str
    mac: str


def links_request() -> KernelRequest:
    """All links, without their counters, which are most of the bytes."""
    mask = _attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
    return KernelRequest(RTM_GETLINK, _LINK.pack(AF_UNSPEC, 0, 0, 0, 0) + mask)


def link_request(index: int) -> KernelRequest:
    """One link."""
    mask = _attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
    return KernelRequest(RTM_GETLINK, _LINK.pack(AF_UNSPEC, 0, index, 0, 0) + mask, is_dump=False)


def bridges_request() -> KernelRequest:
    """The links that are bridges. A kernel before 4.6 answers with all links."""
    request = links_request()
    wanted = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"bridge"))
    return msgspec.structs.replace(request, body=request.body + wanted)


def ports_request(master: int) -> KernelRequest:
    """The links that are ports of this one. A kernel before 4.6 answers with all links."""
    request = links_request()
    wanted = _attribute(_IFLA_MASTER, struct.pack("=I", master))
    return msgspec.structs.replace(request, body=request.body + wanted)


def labels_request() -> KernelRequest:
    """All IPv4 addresses; IPv6 addresses have no labels."""
    return KernelRequest(RTM_GETADDR, _ADDRESS.pack(AF_INET, 0, 0, 0, 0))


def routes_request() -> KernelRequest:
    """All routes, of all tables and families."""
    return KernelRequest(RTM_GETROUTE, _ROUTE.pack(AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0))


def way_request(address: str) -> KernelRequest:
    """The route that a packet from here to that address would take."""
    to = ipaddress.ip_address(address)
    family = AF_INET if to.version == 4 else AF_INET6
    head = _ROUTE.pack(family, to.max_prefixlen, 0, 0, 0, 0, 0, 0, _RTM_F_LOOKUP_TABLE)
    return KernelRequest(RTM_GETROUTE, head + _attribute(_RTA_DST, to.packed), is_dump=False)


def neighbours_request() -> KernelRequest:
    """All neighbours."""
    return KernelRequest(RTM_GETNEIGH, _NEIGHBOUR.pack(AF_UNSPEC, 0, 0, 0, 0))


def neighbour_request(interface: int, address: str) -> KernelRequest:
    """One neighbour. A kernel before 5.0 refuses."""
    of = ipaddress.ip_address(address)
    head = _NEIGHBOUR.pack(AF_INET if of.version == 4 else AF_INET6, interface, 0, 0, 0)
    return KernelRequest(RTM_GETNEIGH, head + _attribute(_NDA_DST, of.packed), is_dump=False)


def port_request(bridge: int, mac: str) -> KernelRequest:
    """By which of its ports a bridge has last heard a MAC. A kernel before 5.0 refuses."""
    wanted = _attribute(_NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    head = _NEIGHBOUR.pack(_AF_BRIDGE, 0, 0, 0, 0)
    return KernelRequest(
        RTM_GETNEIGH, head + wanted + _attribute(_NDA_MASTER, struct.pack("=I", bridge)), is_dump=False
    )


def family_request(name: str) -> KernelRequest:
    """The number of a generic netlink family, valid until its module is unloaded."""
    body = _GENERIC.pack(_CTRL_CMD_GETFAMILY, 1) + _attribute(_CTRL_ATTR_FAMILY_NAME, name.encode() + b"\0")
    return KernelRequest(GENL_ID_CTRL, body, is_dump=False, protocol=NETLINK_GENERIC)


def radios_request(nl80211: int) -> KernelRequest:
    """All Wi-Fi interfaces, asked of nl80211 by its number."""
    return KernelRequest(nl80211, _GENERIC.pack(_NL80211_CMD_GET_INTERFACE, 0), protocol=NETLINK_GENERIC)


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


class KernelAnswer:
    """One answer, which comes in datagrams."""

    def __init__(self, request: KernelRequest, sequence: int) -> None:
        self._is_dump = request.is_dump
        self._sequence = sequence
        self.messages: list[Message] = []
        self.is_complete = False
        self.is_torn = False  # the table changed meanwhile, or a part was lost: ask again
        self.errno = 0  # the kernel's reason to refuse

    def take(self, datagram: bytes) -> None:
        """Take a datagram from the kernel; answers to other questions are skipped."""
        for message in messages(datagram):
            self.take_message(message)

    def take_message(self, message: Message) -> None:
        if message.sequence != self._sequence or message.type == NLMSG_NOOP or self.is_complete:
            return
        self.is_torn |= bool(message.flags & NLM_F_DUMP_INTR) or message.type == NLMSG_OVERRUN
        if message.type in (NLMSG_ERROR, NLMSG_DONE):
            self.errno = _errno(message)
        if message.type > NLMSG_OVERRUN:
            self.messages.append(message)
        self.is_complete = message.type <= NLMSG_OVERRUN or not self._is_dump


def messages(datagram: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    at = 0
    while at < len(datagram):
        if at + _HEADER.size > len(datagram):
            raise Garbled("a message's head is cut off")
        length, kind, flags, sequence, _port = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size or at + length > len(datagram):
            raise Garbled(f"a message claims {length} of {len(datagram) - at} bytes")
        yield Message(kind, flags, sequence, datagram[at + _HEADER.size : at + length])
        at += _aligned(length)


def _errno(message: Message) -> int:
    """The error number of an error or end message; 0: none."""
    if len(message.body) < _ERRNO.size:
        raise Garbled("an end without its error number")
    return -int(_ERRNO.unpack_from(message.body)[0])


def link(message: Message) -> Link | None:
    """None if the message is about something else."""
    if message.type != RTM_NEWLINK:
        return None
    _family, hardware, index, flags, _change = head(_LINK, message.body)
    attributes = attributes_in(message.body[_LINK.size :])
    name = attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    carrier = attributes.get(_IFLA_CARRIER)
    kind = attributes_in(attributes.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")
    is_connected = bool(flags & _IFF_LOWER_UP) if carrier is None else carrier != b"\0"
    return Link(
        index,
        name,
        has_carrier=bool(flags & _IFF_UP) and is_connected,
        has_neighbours=not flags & (_IFF_LOOPBACK | _IFF_POINTOPOINT | _IFF_NOARP),
        is_ethernet=hardware == _ARPHRD_ETHER,
        kind=kind.rstrip(b"\0").decode(errors="replace"),
        master=_number(attributes[_IFLA_MASTER]) if _IFLA_MASTER in attributes else 0,
        # With the number of a namespace, it is an index in that namespace.
        below=_number(attributes[_IFLA_LINK]) if attributes.keys() & _LOWER == {_IFLA_LINK} else 0,
        ends_elsewhere=_IFLA_LINK_NETNSID in attributes,
    )


def label(message: Message) -> str | None:
    """The label of an address: its interface's name, or `eth0:1`. None if the message is about something else."""
    if message.type != RTM_NEWADDR:
        return None
    attributes = attributes_in(message.body[_ADDRESS.size :])
    return attributes.get(_IFA_LABEL, b"").rstrip(b"\0").decode(errors="replace") or None


def ipv4(message: Message) -> tuple[str, str] | None:
    """An IPv4 address of this host, behind its label. None if the message is about something else."""
    labelled = label(message)
    if labelled is None:
        return None
    attributes = attributes_in(message.body[_ADDRESS.size :])
    own = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)  # of a tunnel, the second is the other end's
    return (labelled, _address(own)) if own is not None else None


def default_route(message: Message) -> Route | None:
    """None if the message is not a default route; most are not, so that is checked first."""
    if message.type != RTM_NEWROUTE or head(_ROUTE, message.body)[1] != 0:
        return None
    return way(message)


def way_by_a_router(message: Message) -> Route | None:
    """None if the message is no route, or one to what is on the link itself."""
    found = way(message)
    return found if found is not None and any(hop.gateway is not None for hop in found.hops) else None


def way(message: Message) -> Route | None:
    """None if the message is about something else, or if the packet would not leave (blackhole, unreachable …)."""
    if message.type != RTM_NEWROUTE:
        return None
    family, *_, table, _protocol, _scope, kind, _flags = head(_ROUTE, message.body)
    if kind != _RTN_UNICAST or family not in (AF_INET, AF_INET6):
        return None
    attributes = attributes_in(message.body[_ROUTE.size :])
    if _RTA_TABLE in attributes:  # the header has only one byte for it
        table = _number(attributes[_RTA_TABLE])
    source = attributes.get(_RTA_PREFSRC)
    return Route(tuple(_hops(attributes)), table, None if source is None else _address(source))


def leads_here(message: Message) -> bool:
    """Whether it says that a packet would be for this host itself."""
    return message.type == RTM_NEWROUTE and head(_ROUTE, message.body)[7] in _RTN_HERE


def neighbour(message: Message) -> Neighbour | None:
    """None if the message is about something else, or about an address that is not resolved."""
    if message.type != RTM_NEWNEIGH:
        return None
    family, interface, _state, _flags, _kind = head(_NEIGHBOUR, message.body)
    attributes = attributes_in(message.body[_NEIGHBOUR.size :])
    mac = attributes.get(_NDA_LLADDR, b"")  # the kernel leaves it out while it is invalid
    if family not in (AF_INET, AF_INET6) or _NDA_DST not in attributes or not any(mac):
        return None
    return Neighbour(interface, _address(attributes[_NDA_DST]), mac.hex(":"))


def port(message: Message) -> int | None:
    """The index of a bridge's port. None if the message is about something else."""
    if message.type != RTM_NEWNEIGH:
        return None
    family, interface, _state, _flags, _kind = head(_NEIGHBOUR, message.body)
    return int(interface) if family == _AF_BRIDGE else None


def family(message: Message) -> int | None:
    """None if the message is about something else."""
    if message.type != GENL_ID_CTRL or head(_GENERIC, message.body)[0] != _CTRL_CMD_NEWFAMILY:
        return None
    number = attributes_in(message.body[_GENERIC.size :]).get(_CTRL_ATTR_FAMILY_ID, b"")
    if len(number) != _FAMILY.size:
        raise Garbled("a family without its number")
    return int(_FAMILY.unpack(number)[0])


def radio(message: Message, nl80211: int) -> Radio | None:
    """None if the message is about something else, or about an interface in no network.

    An access point's own SSID says nothing about where the host is.
    """
    if message.type != nl80211 or head(_GENERIC, message.body)[0] != _NL80211_CMD_NEW_INTERFACE:
        return None
    attributes = attributes_in(message.body[_GENERIC.size :])
    kind = attributes.get(_NL80211_ATTR_IFTYPE)
    name = attributes.get(_NL80211_ATTR_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    ssid = attributes.get(_NL80211_ATTR_SSID, b"")
    if not name or not ssid.strip(b"\0"):  # a hidden one may be all zeros
        return None
    if kind is not None and _number(kind) in (_NL80211_IFTYPE_AP, _NL80211_IFTYPE_P2P_GO):
        return None
    return Radio(name, ssid_text(ssid))


def ssid_text(ssid: bytes) -> str:
    """An SSID is up to 32 bytes of anything: decoded as UTF-8, with all that is not printable escaped."""
    text = ssid.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _hops(attributes: dict[int, bytes]) -> Iterator[Hop]:
    several = attributes.get(_RTA_MULTIPATH)
    if several is None:
        if _RTA_OIF in attributes:
            yield Hop(_number(attributes[_RTA_OIF]), _gateway(attributes))
        return
    at = 0
    while at < len(several):
        if at + _HOP.size > len(several):
            raise Garbled("a hop is cut off")
        length, _flags, _weight, interface = _HOP.unpack_from(several, at)
        if length < _HOP.size or at + length > len(several):
            raise Garbled(f"a hop claims {length} of {len(several) - at} bytes")
        yield Hop(interface, _gateway(attributes_in(several[at + _HOP.size : at + length])))
        at += _aligned(length)


def _gateway(attributes: dict[int, bytes]) -> str | None:
    if _RTA_GATEWAY in attributes:
        return _address(attributes[_RTA_GATEWAY])
    if _RTA_VIA in attributes:  # of another family than the route: IPv4 by an IPv6 router (RFC 5549)
        return _address(attributes[_RTA_VIA][_FAMILY.size :])
    return None


def attributes_in(data: bytes) -> dict[int, bytes]:
    """The attributes after a header, by type."""
    found = {}
    at = 0
    while at < len(data):
        if at + _ATTRIBUTE.size > len(data):
            raise Garbled("an attribute's head is cut off")
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            raise Garbled(f"an attribute claims {length} of {len(data) - at} bytes")
        found[kind & _TYPE_OF_ATTRIBUTE] = data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def head(layout: struct.Struct, body: bytes) -> tuple[Any, ...]:
    """What a message begins with."""
    if len(body) < layout.size:
        raise Garbled(f"{len(body)} bytes where {layout.size} are due")
    return layout.unpack_from(body)


def _number(value: bytes) -> int:
    if len(value) != 4:
        raise Garbled(f"a number of {len(value)} bytes")
    return int.from_bytes(value, sys.byteorder)


def _address(value: bytes) -> str:
    if len(value) not in (4, 16):
        raise Garbled(f"an address of {len(value)} bytes")
    return str(ipaddress.ip_address(value))  # spelled as the policy's are


def _aligned(length: int) -> int:
    return (length + 3) & ~3

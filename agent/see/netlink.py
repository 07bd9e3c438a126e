"""Asks the kernel about its network, over netlink.

Seventeen questions of a millisecond each, asked synchronously. Not known here: the bytes (`netlink_messages.py`,
`socket_messages.py`), and waking up when something changes (`service/watch/`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from agent.see import netlink_messages as wire
from agent.see import socket_messages
from agent.see.netlink_messages import KernelAnswer, KernelRequest, Link, Message, Neighbour, Radio, Route
from agent.values.errors import AgentError
from agent.values.listening import LO, Backlog, Listener, loopback_addresses
from agent.values.machine_text import lines
from agent.values.relay import is_named_by_docker

ANSWERS_WITHIN_S: Final = 1.0  # it takes a millisecond; a kernel that takes longer is in trouble
_ATTEMPTS: Final = 5
_BUFFER: Final = 65536  # the kernel fills at most 32 KiB; only a single message can be larger
_AT_ONCE: Final = 32  # questions, so that the answers have room

_T = TypeVar("_T")

_INTERFACES: Final = 1000  # each is a question of 10 µs
_NAMES: Final = Path("/proc/net/dev")
_HEADINGS: Final = 2  # lines

# How the kernel says that there is no route: none, one of type unreachable, prohibit or blackhole, no such family.
_NO_WAY: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.EAFNOSUPPORT, errno.EOPNOTSUPP}
)


GUESTS: Final = frozenset({"veth", "tun"})  # kinds of interfaces


class NetlinkFailed(AgentError):
    """The kernel did not answer, or refused: the state of the network is unknown."""

    def __init__(self, what: str, number: int = 0) -> None:
        super().__init__("netlink", what)
        self.errno = number


class Reached(msgspec.Struct, frozen=True):
    """How this host reaches an address on one of its links."""

    interface: int  # by its index; 0: the address is its own, or behind a router, or out of reach
    port: int = 0  # of the bridge that this interface is, by its index; 0: not known


def links() -> list[Link]:
    """All interfaces."""
    return [link for message in ask(wire.links_request()) if (link := wire.link(message))]


def link_at(index: int) -> Link | None:
    """One interface, by its index; None if it is gone. All are asked for much longer if there are hundreds."""
    told = _ask_for_one(wire.link_request(index), absent=errno.ENODEV)
    return next((link for message in told if (link := wire.link(message))), None)


def ports_of(bridge: int) -> list[Link]:
    """The interfaces that are ports of a bridge, by its index."""
    found = (wire.link(message) for message in ask(wire.ports_request(bridge)))
    return [link for link in found if link is not None and link.master == bridge]


def bridges() -> list[Link]:
    """All bridges."""
    found = (wire.link(message) for message in ask(wire.bridges_request()))
    return [link for link in found if link is not None and link.kind == "bridge"]


def is_of_guests_alone(bridge: str) -> bool:
    """Whether all ports of the bridge that is called so are of containers or virtual machines, as far as it has any.

    If another one is, such as a network card, its network is that of this host. In an LXC guest the uplink looks like a
    container's: only routes tell. A bridge of Docker's own has no uplink (`relay/who.py`, by whom it lets in).
    """
    found = [link for link in bridges() if link.name == bridge]
    if not all(port.kind in GUESTS for link in found for port in ports_of(link.index)):
        return False
    return is_named_by_docker(bridge) or not any(_leads_out(link.index) for link in found)


def _leads_out(bridge: int) -> bool:
    by_default = any(hop.interface == bridge for route in default_routes() for hop in route.hops)
    return by_default or routers_are_behind(bridge)


def labels() -> frozenset[str]:
    """The labels of the IPv4 addresses."""
    return frozenset(label for message in ask(wire.labels_request()) if (label := wire.label(message)))


def ipv4_at(interface: str) -> str | None:
    """The first IPv4 address of an interface, such as of Docker's bridge; None if it has none, or is not there now."""
    found = (wire.ipv4(message) for message in ask(wire.labels_request()))
    return next((address for label, address in filter(None, found) if label == interface), None)


def default_routes() -> list[Route]:
    """The default routes of all tables, IPv4 and IPv6."""
    return [route for message in ask(wire.routes_request()) if (route := wire.default_route(message))]


def routers_are_behind(interface: int) -> bool:
    """Whether any route of this host leads to a router that is reached by this interface, by its index."""
    found = (wire.way_by_a_router(message) for message in ask(wire.routes_request()))
    return any(hop.interface == interface for route in found if route is not None for hop in route.hops)


def way_to(address: str) -> Route | None:
    """The route that a packet from here to that address would take; None if there is none. No packet is sent."""
    try:
        told = ask(wire.way_request(address))
    except NetlinkFailed as failure:
        if failure.errno in _NO_WAY:
            return None
        raise
    return next((route for message in told if (route := wire.way(message))), None)


def leads_here(address: str) -> bool:
    """Whether a packet from here to that address would be for this host itself."""
    try:
        return any(wire.leads_here(message) for message in ask(wire.way_request(address)))
    except NetlinkFailed as failure:
        if failure.errno in _NO_WAY:
            return False
        raise


def neighbours() -> list[Neighbour]:
    """All resolved neighbours."""
    return [neighbour for message in ask(wire.neighbours_request()) if (neighbour := wire.neighbour(message))]


def ports_to(addresses: Sequence[str]) -> list[Reached]:
    """By what each address is reached. A kernel before 5.0 cannot be asked: NetlinkFailed.

    A neighbour chooses its addresses as it likes, and its MACs, but not where its frames come from.
    """
    ways = [_on_the_link(told.messages) for told in _each([wire.way_request(address) for address in addresses])]
    found = [Reached(interface) for interface in ways]
    neighbours = [place for place, interface in enumerate(ways) if interface]
    told = _each([wire.neighbour_request(ways[place], addresses[place]) for place in neighbours])
    if any(one.errno == errno.EOPNOTSUPP for one in told):
        raise NetlinkFailed("the kernel does not tell of a single neighbour", errno.EOPNOTSUPP)
    macs = ((place, _first(map(wire.neighbour, one.messages))) for place, one in zip(neighbours, told, strict=True))
    known = [(place, neighbour.mac) for place, neighbour in macs if neighbour is not None]
    told = _each([wire.port_request(ways[place], mac) for place, mac in known])
    for (place, _), one in zip(known, told, strict=True):
        found[place] = Reached(ways[place], _first(map(wire.port, one.messages)) or 0)
    return found


def _on_the_link(told: Sequence[Message]) -> int:
    """The interface that leads to a neighbour, by its index; 0: it is none."""
    way = _first(map(wire.way, told))
    return way.hops[0].interface if way is not None and len(way.hops) == 1 and way.hops[0].gateway is None else 0


def _first(found: Iterable[_T | None]) -> _T | None:
    return next((one for one in found if one is not None), None)


def radios() -> list[Radio]:
    """All Wi-Fi interfaces that are in a network; none if the kernel has no Wi-Fi."""
    told = _ask_for_one(wire.family_request("nl80211"), absent=errno.ENOENT)  # no cfg80211 (FACTS 28)
    nl80211 = next((number for message in told if (number := wire.family(message))), None)
    if nl80211 is None:
        return []
    return [radio for message in ask(wire.radios_request(nl80211)) if (radio := wire.radio(message, nl80211))]


def listeners(port: int, addresses: Iterable[str]) -> list[Listener]:
    """The sockets of this network namespace that may take a connection to one of the addresses at the port.

    One of several sockets on one address stands for all: they belong to one user (FACTS 91).
    """
    found = [one for address in addresses for one in _takers(address, port)]
    if not found:
        ask(socket_messages.nothing_request())
    return list(dict.fromkeys(found))


def owner_of(near: tuple[str, int], far: tuple[str, int]) -> int | None:
    """The user whose socket of this host is connected from `near`, its own end, to `far`; None if there is none."""
    told = _ask_for_one(socket_messages.connection_request(near, far), absent=errno.ENOENT)
    return next((uid for message in told if (uid := socket_messages.uid_behind(message, far[1])) is not None), None)


def owners_of(connections: Sequence[tuple[tuple[str, int], tuple[str, int]]]) -> list[int | None]:
    """As `owner_of`, by both ends of each: asked together, they cost half."""
    found: list[int | None] = []
    for at in range(0, len(connections), _AT_ONCE):
        asked = connections[at : at + _AT_ONCE]
        answers = _ask_together([socket_messages.connection_request(near, far) for near, far in asked])
        for (_, far), told in zip(asked, answers, strict=True):
            if told.errno not in (0, errno.ENOENT):
                raise NetlinkFailed(f"the kernel refused: {os.strerror(told.errno)}", told.errno)
            uids = (socket_messages.uid_behind(message, far[1]) for message in told.messages)
            found.append(next((uid for uid in uids if uid is not None), None))
    return found


def backlog_of(address: str, port: int) -> Backlog | None:
    """Of the socket that listens there; None if there is none."""
    told = _ask_for_one(socket_messages.backlog_request(address, port), absent=errno.ENOENT)
    return next((one for message in told if (one := socket_messages.backlog(message))), None)


def _takers(address: str, port: int) -> Iterator[Listener]:
    """The one that is bound to no interface (no other user's can be beside it), else those that are bound to one."""
    if (free := _taker(address, port)) is not None:
        yield free
        return
    is_loopback = bool(loopback_addresses(address))  # only lo leads there
    interfaces = [LO] if is_loopback else indexes()
    if len(interfaces) > _INTERFACES:
        raise NetlinkFailed(f"there are more than {_INTERFACES} interfaces that a listener may be bound to")
    for interface in interfaces:
        if (bound := _taker(address, port, interface)) is not None:
            yield bound


def indexes() -> list[int]:
    """Those of all interfaces, also while it takes the kernel long to say what they are.

    if_nameindex(3) would wait for its lock on them (FACTS 255), and all of Python with it, in whatever thread.
    """
    found = []
    for line in lines(_NAMES.read_text(errors="surrogateescape"))[_HEADINGS:]:
        with contextlib.suppress(OSError):  # it has just gone
            found.append(socket.if_nametoindex(line.partition(":")[0].strip()))
    return found


def _taker(address: str, port: int, interface: int = 0) -> Listener | None:
    told = _ask_for_one(socket_messages.listener_request(address, port, interface), absent=errno.ENOENT)
    return next((one for message in told if (one := socket_messages.listener(message))), None)


def _ask_for_one(request: KernelRequest, *, absent: int) -> list[Message]:
    """`absent`: the errno by which the kernel says that there is none; then it has told nothing."""
    try:
        return ask(request)
    except NetlinkFailed as failure:
        if failure.errno == absent:
            return []
        raise


def ask(request: KernelRequest) -> list[Message]:
    """The whole answer, consistent if the network does not change meanwhile."""
    told = None
    for sequence in range(1, _ATTEMPTS + 1):
        told = _ask_once(request, sequence) or told
        if told is not None and not told.is_torn:
            break
    if told is None:
        raise NetlinkFailed(f"the kernel's answer was lost {_ATTEMPTS} times")
    if told.errno:
        raise NetlinkFailed(f"the kernel refused: {os.strerror(told.errno)}", told.errno)
    # It may still be inconsistent; but then the change wakes the agent, to look again.
    return told.messages


def _ask_once(request: KernelRequest, sequence: int) -> KernelAnswer | None:
    """None: part of the answer did not fit."""
    told = KernelAnswer(request, sequence)
    try:
        with _asked(request.encode(sequence), request.protocol) as kernel:
            while not told.is_complete:
                told.take(_heard(kernel))
    except _TooMuch:
        return None
    return told


def _each(requests: Sequence[KernelRequest]) -> list[KernelAnswer]:
    """As below, any number of them."""
    parts = (requests[at : at + _AT_ONCE] for at in range(0, len(requests), _AT_ONCE))
    return [told for part in parts for told in _ask_together(part)]


def _ask_together(requests: Sequence[KernelRequest]) -> list[KernelAnswer]:
    """One or more questions of one protocol, which are no dumps: the kernel answers them one after the other."""
    answers = {sequence: KernelAnswer(request, sequence) for sequence, request in enumerate(requests, 1)}
    said = b"".join(request.encode(sequence) for sequence, request in enumerate(requests, 1))
    left = len(answers)
    try:
        with _asked(said, requests[0].protocol) as kernel:
            while left:
                for message in wire.messages(_heard(kernel)):
                    told = answers.get(message.sequence)
                    if told is not None and not told.is_complete:
                        told.take_message(message)
                        left -= told.is_complete
    except _TooMuch as failure:
        raise NetlinkFailed("the kernel's answers did not fit") from failure
    return list(answers.values())


class _TooMuch(Exception):
    """Part of an answer did not fit."""


@contextlib.contextmanager
def _asked(said: bytes, protocol: int) -> Iterator[socket.socket]:
    """A socket for each question: no rest of a broken answer can disturb the next."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as kernel:
        kernel.settimeout(ANSWERS_WITHIN_S)
        try:
            kernel.sendto(said, (0, 0))
            yield kernel
        except TimeoutError as silence:
            raise NetlinkFailed(f"the kernel did not answer within {ANSWERS_WITHIN_S:.0f} s") from silence
        except OSError as failure:
            if failure.errno == errno.ENOBUFS:
                raise _TooMuch from failure
            raise NetlinkFailed(os.strerror(failure.errno or 0), failure.errno or 0) from failure


def _heard(kernel: socket.socket) -> bytes:
    """A datagram from the kernel itself; nothing of others counts."""
    datagram, _, flags, (port, _groups) = kernel.recvmsg(_BUFFER)
    if flags & socket.MSG_TRUNC:
        raise NetlinkFailed(f"a message of the kernel is larger than {_BUFFER} bytes")
    return datagram if port == 0 else b""

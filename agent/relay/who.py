"""Who may use the relay: this host, and peers that the kernel reaches through a bridge of containers.

A gateway's address answers on every interface (FACTS 211), also to others in the same café: so the address that a peer
connected to tells nothing. But a connection exists only if our answers reach the peer, so their route tells where it
is, whatever its own address claims. The route is asked for at each connection, because a network that was a container's
a moment ago may be the café's now. A network that Docker isolates stays isolated: the agent says which bridges belong
to one, and until it has said anything about a bridge, nobody is let in from it (`Untold`). Only the kind of an
interface is kept: a yes for a minute if the name is Docker's, everything else for a second. What the agent says is
applied when it is asked for: what an interface is outlives that.

A container can have any number of addresses, and can answer for those of others. So when something is scarce, it counts
by the port of the bridge that its frames come through (`whose`, FACTS 246).

Peers that are not let in may try as often as they like, and nothing else is done during the check. So its cost does not
depend on the number of containers: the kernel is asked about one interface, and about a bridge's ports once a second.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from agent.see import netlink
from agent.see.netlink import NetlinkFailed, Reached
from agent.see.netlink_messages import RT_TABLE_MAIN, Hop, Link, Route
from agent.values.listening import IpAddress, unmapped
from agent.values.relay import Source, bridge_of, is_named_by_docker

KEPT_S: Final = 60.0
NO_KEPT_S: Final = 1.0
WHOSE_KEPT_S: Final = 1.0
OUTLIVED_S: Final = 300.0  # for so long what was found last is believed after its time, if the kernel does not answer
_KEPT: Final = 256  # bridges
_KEPT_ADDRESSES: Final = 4096
_BRIDGE, _VETH = "bridge", "veth"
_DOCKERDS: Final = "127.0.0.1"


End = tuple[str, int]  # of a connection: address and port


class Untold(Exception):
    """The agent has not said yet whether what is behind this bridge may come in."""

    def __init__(self, bridge: str) -> None:
        super().__init__(bridge)
        self.bridge = bridge


class NotYetKnown(NetlinkFailed):
    """The kernel has not answered yet: ask again."""

    def __init__(self) -> None:
        super().__init__("the kernel has not answered yet")


class Kernel(Protocol):
    """What is asked. Each raises NetlinkFailed; as `Aside`, some raise NotYetKnown."""

    def leads_here(self, address: str, /) -> bool: ...
    def way_to(self, address: str, /) -> Route | None: ...
    def link_at(self, index: int, /) -> Link | None: ...
    def ports_of(self, bridge: int, /) -> Sequence[Link]: ...
    def default_routes(self) -> Sequence[Route]: ...
    def routers_are_behind(self, interface: int, /) -> bool: ...
    def owner_of(self, near: End, far: End, /) -> int | None: ...
    def owners_of(self, connections: Sequence[tuple[End, End]], /) -> Sequence[int | None]: ...
    def ports_to(self, addresses: Sequence[str], /) -> Sequence[Reached]: ...


class _Looked(msgspec.Struct, frozen=True):
    """What an interface is, whatever the agent says of it."""

    is_of_containers: bool = False  # a bridge that only containers are on
    is_of_guests: bool = False  # only guests of this host are behind it: containers, virtual machines
    is_way_out: bool = False  # also to routers that are none of these: if it is Docker's, those at its own link are
    name: str = ""  # of a bridge
    bridge: str = ""  # of a bridge, as `bridge_of` names it


_NEITHER: Final = _Looked()
_A_GUESTS: Final = _Looked(is_of_guests=True)


class _Kept(msgspec.Struct, frozen=True):
    looked: _Looked
    until: float
    outlived_at: float  # until then it is believed where the kernel does not answer


class Who:
    """Of one relay."""

    def __init__(self, kernel: Kernel = netlink, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._internal: frozenset[str] = frozenset()
        self._told: frozenset[str] | None = None  # None: all
        self._let_in: set[str] = set()
        self._whose: dict[str, tuple[str, float]] = {}

    def keep_out(self, internal: Iterable[str], told: Iterable[str] | None = None) -> bool:
        """Nobody comes in by these bridges from now on, nor by one that is not `told`. Whether that is news."""
        before = self._internal, self._told
        self._internal, self._told = frozenset(internal), None if told is None else frozenset(told)
        if before == (self._internal, self._told):
            return False
        # The news may be that a bridge has another name. If the kernel does not answer, it is what it was.
        now = self._clock()
        self._kept = {place: msgspec.structs.replace(kept, until=now) for place, kept in self._kept.items()}
        return True

    def let_in(self, bridge: str) -> None:
        """Nobody says anything of it."""
        if len(self._let_in) >= _KEPT:
            self._let_in.clear()
        self._let_in.add(bridge)

    def source(self, peer: str, listener: str) -> Source | None:
        """Which source this peer is, at that address of ours; None: it may not use the relay.

        Raises Untold and NotYetKnown.

        A peer on this host that uses the bridge's address counts as a container: slirp4netns and pasta make the
        connections of a rootless container or a virtual machine from here, and keep it only from loopback.
        """
        if peer == _DOCKERDS == listener:
            return Source.LOOPBACK
        from_here = came_to(listener)
        meant = _address(peer)
        if meant.is_loopback:
            return from_here
        if meant.is_link_local or meant.is_multicast:  # the same on every link
            return None
        try:
            return self._by_its_way(str(meant), from_here)
        except NotYetKnown:
            raise
        except NetlinkFailed:  # if the kernel cannot be asked, nobody is let in
            return None

    def is_roots(self, near: End, far: End) -> bool:
        """Whether the process of this host that is connected from `near` to `far` is root's, as dockerd is."""
        with contextlib.suppress(NetlinkFailed):
            return self._kernel.owner_of(near, far) == 0
        return False

    def are_roots(self, connections: Sequence[tuple[End, End]]) -> Sequence[bool]:
        """The same for each of them."""
        with contextlib.suppress(NetlinkFailed):
            return [owner == 0 for owner in self._kernel.owners_of(connections)]
        return [False] * len(connections)

    def whose(self, peers: Sequence[str]) -> list[str]:
        """For each address of a container the source that it counts for: the port of the bridge where it is.

        All addresses of a bridge whose port is not known are one source: this includes a container that answers for an
        address with a MAC that never sends, and those that are new while the kernel has not answered yet. Only if it
        cannot be asked at all, each address is a source. This host's own addresses are one source.
        """
        now = self._clock()
        kept = {peer: known for peer in peers if (known := self._whose.get(peer)) is not None and now < known[1]}
        unknown = [peer for peer in dict.fromkeys(peers) if peer not in kept]
        if unknown:
            until = now + WHOSE_KEPT_S
            found = {peer: (whose, until) for peer, whose in zip(unknown, self._sources(unknown), strict=True)}
            if len(self._whose) + len(found) > _KEPT_ADDRESSES:
                self._whose.clear()
            self._whose |= found
            kept |= found
        return [kept[peer][0] for peer in peers]

    def _sources(self, peers: Sequence[str]) -> list[str]:
        try:
            reached = self._kernel.ports_to([str(_address(peer)) for peer in peers])
        except NotYetKnown:
            known = (self._whose.get(peer) for peer in peers)
            return [whose[0] if whose else self._by_bridge(peer) for peer, whose in zip(peers, known, strict=True)]
        except NetlinkFailed:
            return list(peers)
        return [f"port {one.port}" if one.port else _at(one.interface) for one in reached]

    def _by_bridge(self, peer: str) -> str:
        """As if the bridge did not know its port."""
        with contextlib.suppress(NetlinkFailed):
            return _at(_interface_to_neighbour(self._kernel.way_to(str(_address(peer)))))
        return _at(0)

    def is_guest(self, address: str) -> bool:
        """Whether the kernel's way there leads to guests of this host. Raises NetlinkFailed."""
        way = self._kernel.way_to(address)
        return way is not None and any(self._is_guests(self._of(hop.interface), hop) for hop in way.hops)

    def _is_guests(self, looked: _Looked, hop: Hop) -> bool:
        if looked.is_way_out:
            return hop.gateway is None and self._is_dockers(looked)
        return looked.is_of_guests

    def _by_its_way(self, peer: str, from_here: Source) -> Source | None:
        if self._kernel.leads_here(peer):  # from elsewhere, the kernel drops what claims to come from here
            return from_here
        interface = _interface_to_neighbour(self._kernel.way_to(peer))
        if not interface:
            return None
        looked = self._of(interface)
        if not looked.is_of_containers or looked.name in self._internal:
            return None
        if not (self._told is None or looked.bridge in self._told or looked.bridge in self._let_in):
            raise Untold(looked.bridge)
        return Source.CONTAINERS

    def _of(self, interface: int) -> _Looked:
        now = self._clock()
        kept = self._kept.get(interface)
        if kept is not None and now < kept.until:
            return kept.looked
        try:
            looked, keeps_s = self._look(interface)
        except NetlinkFailed:
            if kept is None or now >= kept.outlived_at:
                raise
            self._kept[interface] = msgspec.structs.replace(kept, until=now + NO_KEPT_S)
            return kept.looked
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        outlives_s = keeps_s + OUTLIVED_S if keeps_s else 0.0
        self._kept[interface] = _Kept(looked, until=now + keeps_s, outlived_at=now + outlives_s)
        return looked

    def _look(self, interface: int) -> tuple[_Looked, float]:
        """And for how long that is true enough."""
        link = self._kernel.link_at(interface)
        if link is not None and link.kind == _VETH:
            return _A_GUESTS if self._is_a_guests(link) else _NEITHER, NO_KEPT_S
        if link is None or link.kind != _BRIDGE:
            return _NEITHER, NO_KEPT_S
        ports = self._kernel.ports_of(interface)
        kinds = {port.kind for port in ports}
        if not kinds <= netlink.GUESTS:
            return _NEITHER, NO_KEPT_S
        of_guests = _Looked(is_of_guests=True, name=link.name, bridge=bridge_of(link.index, link.name))
        if self._leads_out(link):  # then it is in doubt: nobody comes in by it, and nobody is led to who may be there
            return msgspec.structs.replace(of_guests, is_way_out=True), NO_KEPT_S
        # The other end of a veth that is on this host may be a port of a bridge that anybody is on.
        are_containers = kinds == {_VETH} and all(port.ends_elsewhere for port in ports)
        looked = msgspec.structs.replace(of_guests, is_of_containers=are_containers)
        if not kinds:  # the first container may come at any moment, and nobody else comes from there
            return looked, 0.0
        # For other bridges the routes decide, and these may be gone for a moment, for example while DHCP renews.
        return looked, KEPT_S if looked.is_of_containers and is_named_by_docker(link.name) else NO_KEPT_S

    def _is_dockers(self, looked: _Looked) -> bool:
        return is_named_by_docker(looked.name) or looked.bridge in (self._told or ())

    def _is_a_guests(self, link: Link) -> bool:
        """As Calico and systemd-nspawn give one: no bridge, but a route of its own. Its users are none of Docker's.

        In an LXC guest the uplink is such a veth as well (FACTS 238): routers are behind that one.
        """
        return link.ends_elsewhere and not self._kernel.routers_are_behind(link.index)

    def _leads_out(self, bridge: Link) -> bool:
        """In an LXC guest the uplink is a veth, too, and may be a port of a bridge: routers are behind that one.

        Behind one of Docker's there may be a container that is a router, to which somebody has made a route, or a table
        of its own with a default route.
        """
        is_named = is_named_by_docker(bridge.name)
        defaults = (one for one in self._kernel.default_routes() if one.table == RT_TABLE_MAIN or not is_named)
        if any(hop.interface == bridge.index for route in defaults for hop in route.hops):
            return True
        return not is_named and self._kernel.routers_are_behind(bridge.index)


def came_to(listener: str) -> Source:
    """As whom a connection of this host counts that was let in at this address."""
    return Source.LOOPBACK if _address(listener).is_loopback else Source.CONTAINERS


def _interface_to_neighbour(way: Route | None) -> int:
    """By its index; 0: it leads elsewhere, or nowhere."""
    return way.hops[0].interface if way is not None and len(way.hops) == 1 and way.hops[0].gateway is None else 0


def _at(interface: int) -> str:
    """The source of all there whose port is not known."""
    return f"interface {interface}"


def _address(text: str) -> IpAddress:
    return unmapped(ipaddress.ip_address(text))

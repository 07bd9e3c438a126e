"""Which interfaces show where the host is: not those of containers and virtual machines.

Pure, but for the question whether an interface is hardware, which is an argument. Decided by what an interface is, not
by its name: a Docker network, LXD, incus, a virtual machine's tap and a container's veth may have any name. A VPN, an
LXC guest's own veth and all hardware count.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from agent.see.netlink_messages import Link

_LOOPBACK: Final = "lo"
_BRIDGE: Final = "bridge"
_BONDS: Final = frozenset({"bond", "team"})
_OVER_ONE: Final = frozenset({"vlan", "macsec", "rmnet"})  # rmnet: of an LTE modem
_OF_GUESTS: Final = frozenset({"veth", "tun"})  # a tap is of kind "tun"
_UPLINKS_OF_GUESTS: Final = frozenset({"veth", "macvlan", "ipvlan"})
_NO_TUNNEL: Final = frozenset({"", "ppp"})  # though no Ethernet: an LTE modem
_DEEP: Final = 4  # a bridge over a VLAN over a bond over hardware
_LINKS: Final = "/sys/class/net"

Named = Callable[[str], bool]


class CountedInterface(msgspec.Struct, frozen=True):
    """An interface that counts."""

    link: Link
    is_ground: bool  # hardware, or a route leads out there; a tunnel stays up without anything below it
    is_by_upstream: bool = False  # only because the route to an upstream leaves there


def is_hardware(link: Link) -> bool:
    """Whether it has a device. If /sys shows another network namespace, an interface without a kind counts as one."""
    if os.path.exists(f"{_LINKS}/{link.name}/device"):  # noqa: PTH110
        return True
    return not link.kind and not os.path.exists(f"{_LINKS}/{link.name}")  # noqa: PTH110


def is_of_guests(name: str, links: Sequence[Link]) -> bool:
    """Whether it is a bridge with only containers and virtual machines on it."""
    return any(
        link.name == name and link.kind == _BRIDGE and _are_guests(port for port in links if port.master == link.index)
        for link in links
    )


def _are_guests(ports: Iterable[Link]) -> bool:
    return all(port.kind in _OF_GUESTS for port in ports)


def counting(
    links: Sequence[Link],
    leaving: Collection[int],
    is_named: Named,
    to_upstreams: Callable[[], Collection[str]] = tuple,
    is_hardware: Callable[[Link], bool] = is_hardware,
) -> list[CountedInterface]:
    """Those that count, by name. A host without hardware is a guest: there its own link is ground.

    `leaving`: the interfaces, by index, to the world; `to_upstreams`: those, by name, to upstreams, called only if that
    decides; `is_named`: whether a `match.interface` of the policy fits a name.
    """
    asked = _AllLinks(links, is_hardware)
    found: list[CountedInterface] = []
    upstreams: Collection[str] | None = None
    for link in sorted(links, key=lambda link: link.name):
        if asked.is_never(link, is_way_out=link.index in leaving):
            continue
        if asked.is_over_hardware(link) or (link.index in leaving and not _is_tunnel(link)):
            found.append(CountedInterface(link, is_ground=True))
            continue
        if _is_tunnel(link):
            found.append(CountedInterface(link, is_ground=False))
            continue
        upstreams = to_upstreams() if upstreams is None else upstreams
        is_way, counts = link.name in upstreams, not link.is_ethernet or is_named(link.name)
        if is_way or counts:
            found.append(CountedInterface(link, is_ground=is_way, is_by_upstream=not counts))
    if any(one.is_ground for one in found) or any(map(asked.is_own_hardware, links)):
        return found
    return _of_a_guest(found, asked.uplinks_of_a_guest(), leaving, to_upstreams)


def _of_a_guest(
    found: Sequence[CountedInterface],
    uplinks: Sequence[Link],
    leaving: Collection[int],
    to_upstreams: Callable[[], Collection[str]],
) -> list[CountedInterface]:
    """Without hardware and without a route: its own link, through which it will find its upstreams.

    An offline look is not followed by a probe, and before a probe the route to a named upstream is unknown. Without
    such a link, a tunnel may be all that it has.
    """
    if uplinks:
        counted = {one.link.name: one for one in found}
        for link in uplinks:
            counted[link.name] = CountedInterface(link, is_ground=True, is_by_upstream=link.name not in counted)
        return [counted[name] for name in sorted(counted)]
    upstreams = to_upstreams() if found else ()
    return [
        msgspec.structs.replace(one, is_ground=one.link.index in leaving or one.link.name in upstreams) for one in found
    ]


def _is_tunnel(link: Link) -> bool:
    return not link.is_ethernet and link.kind not in _NO_TUNNEL


class _AllLinks:
    """Answers about one link that need all the others."""

    def __init__(self, links: Sequence[Link], is_hardware: Callable[[Link], bool]) -> None:
        self._is_hardware = is_hardware
        self._by_index = {link.index: link for link in links}
        self._ports: dict[int, list[Link]] = {}
        for link in links:
            if link.master:
                self._ports.setdefault(link.master, []).append(link)

    def is_never(self, link: Link, *, is_way_out: bool) -> bool:
        master = self._by_index.get(link.master)
        if link.name == _LOOPBACK or (master is not None and master.kind == _BRIDGE):
            return True
        if link.kind != _BRIDGE or is_way_out:  # in an LXC guest, the uplink of a bridge is a veth
            return False
        return _are_guests(self._ports.get(link.index, ()))

    def uplinks_of_a_guest(self) -> list[Link]:
        links = self._by_index.values()
        return [link for link in links if link.kind in _UPLINKS_OF_GUESTS and not self.is_never(link, is_way_out=False)]

    def is_own_hardware(self, link: Link) -> bool:
        return link.name != _LOOPBACK and self._is_hardware(link)

    def is_over_hardware(self, link: Link, deep: int = _DEEP) -> bool:
        if self._is_hardware(link):
            return True
        if not deep:
            return False
        if link.kind in _OVER_ONE:
            below = self._by_index.get(link.below)
            return below is not None and self.is_over_hardware(below, deep - 1)
        if link.kind == _BRIDGE or link.kind in _BONDS:
            return any(self.is_over_hardware(port, deep - 1) for port in self._ports.get(link.index, ()))
        return False

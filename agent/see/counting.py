"""Which interfaces say where the host is: not those that containers and virtual machines bring.

Pure, but for the question whether an interface is hardware, which comes in. Told by what an interface is, not by its
name: a Docker network, LXD, incus, a virtual machine's tap and a container's veth may be called anything. A VPN, an LXC
guest's own veth and all hardware count.
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
_VLAN: Final = "vlan"
_OF_GUESTS: Final = frozenset({"veth", "tun"})  # a tap is of kind "tun"
_DEEP: Final = 4  # a bridge over a VLAN over a bond over hardware
_LINKS: Final = "/sys/class/net"

Named = Callable[[str], bool]


class Counted(msgspec.Struct, frozen=True):
    """One that counts."""

    link: Link
    is_ground: bool  # hardware, or a way leads out there: a tunnel stays up without anything below it
    is_by_upstream: bool = False  # for no other reason than that the way to an upstream does


def is_hardware(link: Link) -> bool:
    """A device stands behind it. Where /sys shows another network than ours, what has no kind is taken for one."""
    if os.path.exists(f"{_LINKS}/{link.name}/device"):  # noqa: PTH110
        return True
    return not link.kind and not os.path.exists(f"{_LINKS}/{link.name}")  # noqa: PTH110


def is_of_guests(name: str, links: Sequence[Link]) -> bool:
    """Whether it is a bridge that nothing but containers and virtual machines is on."""
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
) -> list[Counted]:
    """Those that count, by name.

    `leaving`: by index, where the world lies; `to_upstreams`: by name, where upstreams do, asked if that decides;
    `is_named`: whether a `match.interface` of the policy fits a name.
    """
    asked = _Asked(links, is_hardware)
    found: list[Counted] = []
    upstreams: Collection[str] | None = None
    for link in sorted(links, key=lambda link: link.name):
        if asked.is_never(link, is_way_out=link.index in leaving):
            continue
        if link.index in leaving or asked.is_over_hardware(link):
            found.append(Counted(link, is_ground=True))
            continue
        upstreams = to_upstreams() if upstreams is None else upstreams
        is_way, counts = link.name in upstreams, not link.is_ethernet or is_named(link.name)
        if is_way or counts:
            found.append(Counted(link, is_ground=is_way, is_by_upstream=not counts))
    return found


class _Asked:
    """What is to be known of a link with all the others beside it."""

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
        if link.kind != _BRIDGE or is_way_out:  # in an LXC guest, a bridge's own uplink is a veth
            return False
        return _are_guests(self._ports.get(link.index, ()))

    def is_over_hardware(self, link: Link, deep: int = _DEEP) -> bool:
        if self._is_hardware(link):
            return True
        if not deep:
            return False
        if link.kind == _VLAN:
            below = self._by_index.get(link.below)
            return below is not None and self.is_over_hardware(below, deep - 1)
        if link.kind == _BRIDGE or link.kind in _BONDS:
            return any(self.is_over_hardware(port, deep - 1) for port in self._ports.get(link.index, ()))
        return False

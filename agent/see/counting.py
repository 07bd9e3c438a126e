"""Which interfaces say where the host is: not those that containers and virtual machines bring.

Pure, but for the question whether an interface is hardware, which comes in. Told by what an interface is, not by its
name: a Docker network, LXD, incus and a virtual machine's tap may be called anything. A VPN, an LXC guest's own veth
and all hardware count.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import Final

from agent.see.netlink_messages import Link
from agent.snapshot import counts

_BRIDGE: Final = "bridge"
_OF_GUESTS: Final = frozenset({"veth", "tun"})  # a tap is of kind "tun"
_LINKS: Final = "/sys/class/net"

Asked = Callable[[str], bool]


def is_hardware(name: str) -> bool:
    """Whether a device stands behind it; where /sys shows another network than ours, it is taken for one."""
    return os.path.exists(f"{_LINKS}/{name}/device") or not os.path.exists(f"{_LINKS}/{name}")  # noqa: PTH110


def is_of_guests(name: str, links: Sequence[Link]) -> bool:
    """Whether it is a bridge that nothing but containers and virtual machines is on."""
    with_uplink = _with_uplink(links)
    return any(link.name == name and link.kind == _BRIDGE and link.index not in with_uplink for link in links)


def _with_uplink(links: Sequence[Link]) -> set[int]:
    """By index, what has a port that is no guest's."""
    return {link.master for link in links if link.kind not in _OF_GUESTS}


def counting(
    links: Sequence[Link], leaving: Collection[int], is_named: Asked, is_hardware: Asked = is_hardware
) -> list[Link]:
    """Those that count, by name.

    `leaving`: by index, where the world lies; `is_named`: whether a `match.interface` of the policy fits a name.
    """
    bridges = {link.index for link in links if link.kind == _BRIDGE}
    with_uplink = _with_uplink(links)

    def says_where(link: Link) -> bool:
        if not counts(link.name) or link.master in bridges:
            return False
        if link.index in leaving:  # also a bridge in an LXC guest, whose own uplink is a veth
            return True
        if link.kind == _BRIDGE:
            return link.index in with_uplink
        # Without a kind and a device: made by a driver of its own, such as VirtualBox's and VMware's.
        is_host_only = link.kind == "tun" or (not link.kind and not is_hardware(link.name))
        return not (link.is_ethernet and is_host_only) or is_named(link.name)

    return sorted(filter(says_where, links), key=lambda link: link.name)

"""Whether the route to an address ends on a bridge of containers: one of Docker's, or one of other guests.

Docker takes the first of its address pools that nothing on this host uses at that moment, and that may be a network of
the company. Hosts of that network are then looked for among the containers, and nothing else shows why. The bridge of a
network may have any name (`com.docker.network.bridge.name`): the kernel says what it is; only a name that Docker gave,
or that daemon.json has, says whose it is.
"""

from __future__ import annotations

import re
from typing import Final

from agent.see import netlink
from agent.see.counting import is_of_guests
from agent.see.netlink import NetlinkFailed
from agent.see.ways import way_now

_NAMES: Final = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")


def docker_bridge(host: str, default: str | None = None) -> str:
    """Its name and whose it is; '' if the route ends elsewhere or goes on behind it, or if the host is not an address.

    `default`: the bridge that daemon.json names.
    """
    try:
        way = way_now(host)
        if way is None or way.gateway is not None:
            return ""
        return described(way.interface, default, is_guests=is_of_guests(way.interface, netlink.links()))
    except (ValueError, NetlinkFailed):  # this only explains a verdict, so it must not fail one
        return ""


def described(interface: str, default: str | None, *, is_guests: bool) -> str:
    """'' for one that leads out of this host: a bridge with an uplink is not one of containers alone."""
    if not is_guests:
        return ""
    if interface == default or _NAMES.fullmatch(interface):
        return f"{interface}, a bridge of Docker's own; daemon.json: default-address-pools"
    return f"{interface}, a bridge that only containers or virtual machines of this host are on"

"""Whether the way to an address ends on a bridge of containers: one of Docker's own, or of another's guests.

Docker takes the first of its address pools that nothing on this host uses at that moment, and that may be one of the
company's. What lies behind it in the company is then looked for among the containers, and nothing else says why.
A network's bridge may have any name (`com.docker.network.bridge.name`): what it is, the kernel says; whose it is, only
a name that Docker gave, or that daemon.json has.
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
    """Its name and whose it is; '' if the way ends elsewhere or leads on behind it, and for what is no address.

    `default`: the bridge that daemon.json names.
    """
    try:
        way = way_now(host)
        if way is None or way.gateway is not None:
            return ""
        return described(way.interface, default, is_guests=is_of_guests(way.interface, netlink.links()))
    except (ValueError, NetlinkFailed):  # what only explains a verdict costs none
        return ""


def described(interface: str, default: str | None, *, is_guests: bool) -> str:
    """'' for one that leads out of this host. A bridge with an uplink of its own is none of containers alone."""
    if not is_guests:
        return ""
    if interface == default or _NAMES.fullmatch(interface):
        return f"{interface}, a bridge of Docker's own; daemon.json: default-address-pools"
    return f"{interface}, a bridge that only containers or virtual machines of this host are on"

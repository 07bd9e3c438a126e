"""Whether the way to an address ends on a bridge that Docker made for its own networks.

Docker takes the first of its address pools that nothing on this host uses at that moment, and that may be one of the
company's. What lies behind it in the company is then looked for among the containers, and nothing else says why.
"""

from __future__ import annotations

import re
from typing import Final

from agent.see.netlink import NetlinkFailed
from agent.see.ways import way_now

_NAMES: Final = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")


def docker_bridge(host: str) -> str:
    """Its name; '' if the way ends elsewhere or leads on behind it, and for what is no address."""
    try:
        way = way_now(host)
    except (ValueError, NetlinkFailed):  # what only explains a verdict costs none
        return ""
    return way.interface if way is not None and way.gateway is None and is_dockers(way.interface) else ""


def is_dockers(interface: str) -> bool:
    return _NAMES.fullmatch(interface) is not None

"""The SSID of each Wi-Fi interface, over nl80211.

Not known here: the bytes (`netlink_messages.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from agent.see import netlink

# Exists while cfg80211 is loaded. Without it, each question would make the kernel look for a module of that family and
# start modprobe, and an idle pass must start no process.
_CFG80211: Final = Path("/sys/class/ieee80211")


def ssids(cfg80211: Path = _CFG80211) -> dict[str, str]:
    """By interface, for those that are in a network."""
    if not os.path.exists(cfg80211):  # noqa: PTH110 - never raises (FACTS 66)
        return {}
    return {radio.name: radio.ssid for radio in netlink.radios()}

"""The SSID of each Wi-Fi interface, over nl80211.

Not known here: the bytes (`netlink_messages.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from agent.see import netlink

# There while cfg80211 is loaded. Without it the kernel would look for a module of that family each time that it is
# asked, and start a modprobe: an idle pass starts no process.
_CFG80211: Final = Path("/sys/class/ieee80211")


def ssids(cfg80211: Path = _CFG80211) -> dict[str, str]:
    """By interface; of those that are in a network."""
    if not os.path.exists(cfg80211):  # noqa: PTH110  never raises (FACTS 66)
        return {}
    return {radio.name: radio.ssid for radio in netlink.radios()}

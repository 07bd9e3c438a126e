"""What moved, and so why a pass looks again."""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """What moved; never how."""

    NETWORK = "network"
    FILES = "files"
    RESUME = "resume"
    TIMER = "timer"
    PROXY = "proxy"
    RELAY = "relay"
    REQUEST = "request"

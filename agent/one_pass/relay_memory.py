"""What the agent knows of the relay from earlier passes."""

from __future__ import annotations

import msgspec

from agent.decide.relay import Relaying
from agent.one_pass.relay_file import Way
from agent.one_pass.relay_report import FallenBack, Refusals
from agent.system.files import Identity
from agent.values.events import Facts
from agent.values.policy import Relay
from agent.values.relay import Orders, RelayState
from agent.values.verdict import Verdict


class Led(msgspec.Struct, frozen=True):
    """What was answered through it, as long as that is believed."""

    of: tuple[object, ...]  # port, place, orders, and whether it listens
    at: float  # CLOCK_BOOTTIME
    verdict: Verdict | None  # None: others kept it busy


class RelayMemory:
    """What outlives a policy."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.relaying = Relaying()
        self.orders: Orders | None = None
        self.orders_on_disk: Identity | None = None
        self.latest = 0  # generation that was written
        self.told_at: float | None = None  # CLOCK_BOOTTIME: when they were written, or first seen
        self.news: list[Facts] = []
        self.state: RelayState | None = None  # what it last said of itself
        self.state_asked: RelayState | None = None  # when it was probed last
        self.is_silent = False  # it said something, and does not any more
        self.failures = 0  # of connections, by its own count
        self.refusals = Refusals()
        self.fallen_back = FallenBack()
        self.had: frozenset[str] = frozenset()  # where containers were given it
        self.had_on_disk: frozenset[str] | None = None  # None: not read yet
        self.network = ""  # where the orders were chosen
        self.took_passwords = True  # offline, perhaps before this start; until a network uses them
        self.way: Way | None = None  # that a pause keeps, as it is on disk; None: not known yet
        self.internal: tuple[str, ...] | None = None  # bridges of internal networks, as on disk; None: not known yet
        self.unsaved = ""  # why it was given up, as long as that is not kept
        self.led: Led | None = None  # by its last orders
        self.revived: float | None = None  # CLOCK_BOOTTIME: when it was brought up last because it was silent
        self.not_revived = ""  # why that failed

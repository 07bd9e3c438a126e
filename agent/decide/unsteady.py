"""How long a network must have stood before Docker is restarted for it, where one follows another.

Pure: the restarts that network changes brought, and when this network was come to, in CLOCK_BOOTTIME seconds. Not known
here: restarts for any other reason, which neither wait for this nor count (`rate.py`).
"""

from __future__ import annotations

from typing import Final

import msgspec

WITHIN_S: Final = 60.0  # two restarts within this make it unsteady; one network that stands for this makes it steady
STANDS_S: Final = (10.0, 20.0, 40.0)  # before the next restart, the one after that, and all further ones


class Shaken(msgspec.Struct, frozen=True):
    """What came of the network changes since it was last steady."""

    last: float | None = None  # the last restart that a network change brought
    waits: int = 0  # restarts since it is unsteady, with the one that made it so; 0: steady

    def left(self, changed: float, now: float) -> Shaken:
        """Another network is come to at `now`; the one before was come to at `changed`."""
        return Shaken() if _is_steady(changed, now) else self

    def restarted(self, changed: float, now: float) -> Shaken:
        """Docker was restarted for the network that was come to at `changed`."""
        before = self.left(changed, now)
        if before.waits:
            return Shaken(now, min(before.waits + 1, len(STANDS_S)))
        return Shaken(now, int(before.last is not None and now < before.last + WITHIN_S))

    def allowed_at(self, changed: float, now: float) -> float:
        """When Docker may be restarted for the network that was come to at `changed`."""
        if not self.waits or _is_steady(changed, now):
            return now
        return max(now, changed + STANDS_S[self.waits - 1])


def _is_steady(changed: float, now: float) -> bool:
    return now >= changed + WITHIN_S

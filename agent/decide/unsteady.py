"""How long a network must stand before Docker is restarted for it, when networks change often.

Pure: the restarts that network changes brought, and when this network was come to, in CLOCK_BOOTTIME seconds. Not known
here: restarts for any other reason, which neither wait for this nor count (`rate.py`).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

WITHIN_S: Final = 60.0  # two restarts within this make it unsteady; one network that stands for this makes it steady
STANDS_S: Final = (10.0, 20.0, 40.0)  # before the next restart, the one after that, and all further ones


class Shaken(msgspec.Struct, frozen=True):
    """The restarts by network changes since the network was last steady."""

    last: float | None = None  # the last restart that a network change brought
    # Restarts since it is unsteady, with the one that made it so; 0: steady.
    waits: Annotated[int, msgspec.Meta(ge=0, le=len(STANDS_S))] = 0

    def left(self, changed: float, now: float) -> Shaken:
        """The host arrives in another network at `now`; it had arrived in the last one at `changed`."""
        return STEADY if _is_steady(changed, now) else self

    def restarted(self, changed: float, now: float) -> Shaken:
        """Docker was restarted for the network in which the host arrived at `changed`."""
        before = self.left(changed, now)
        if before.waits:
            return Shaken(now, min(before.waits + 1, len(STANDS_S)))
        return Shaken(now, int(before.last is not None and now < before.last + WITHIN_S))

    def allowed_at(self, changed: float, now: float) -> float:
        """When Docker may be restarted for the network in which the host arrived at `changed`."""
        return max(now, changed + self.stands_s) if self.steady_at(changed, now) is not None else now

    def steady_at(self, changed: float, now: float) -> float | None:
        """When it will be steady, if the network since `changed` stands until then; None: it is steady."""
        return changed + WITHIN_S if self.waits and not _is_steady(changed, now) else None

    @property
    def stands_s(self) -> float:
        """How long a network must stand before the next restart for it."""
        return STANDS_S[self.waits - 1] if self.waits else 0.0

    @property
    def waiting(self) -> str:
        """Why a restart waits, in words."""
        return f"the network keeps changing: Docker is restarted once it has been stable for {self.stands_s:.0f} s"

    @property
    def condition(self) -> str:
        """What a person should know of it."""
        return (
            f"the network keeps changing: until it has been stable for {WITHIN_S:.0f} s, "
            f"Docker is restarted only {self.stands_s:.0f} s after a change"
        )


STEADY: Final = Shaken()


def _is_steady(changed: float, now: float) -> bool:
    return now >= changed + WITHIN_S

"""What a choice depends on besides verdicts: a pin, a pause, quarantines, and where upstreams listen.

Pure values; times are CLOCK_BOOTTIME seconds. Not known here: how a pin or a quarantine survives a reboot.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.values.policy import Upstream


class Pin(msgspec.Struct, frozen=True):
    """An upstream that a person chose."""

    upstream: str
    until: float | None = None  # None: until it is taken back

    def is_over(self, now: float) -> bool:
        return self.until is not None and now >= self.until


class Pause(msgspec.Struct, frozen=True):
    """Nothing is written or restarted."""

    until: float | None = None  # None: until `resume`

    def is_over(self, now: float) -> bool:
        return self.until is not None and now >= self.until


class Standing(msgspec.Struct, frozen=True):
    """Everything that a choice depends on, except verdicts."""

    pin: Pin | None = None
    pause: Pause | None = None
    quarantined: Mapping[str, float] = msgspec.field(default_factory=dict)  # by upstream: until when it is passed over
    on_loopback: frozenset[str] = frozenset()  # the upstreams that are apps on this host
    in_docker: str | None = None  # the upstream that Docker's settings name already

    def pinned(self, upstreams: Mapping[str, Upstream], now: float) -> str | None:
        """The upstream pinned now; a pin ends with its time, and with a policy that has no such name.

        Not a PAC, which is none to go by: see `choose.within_pin`.
        """
        found = self._pinned(upstreams, now)
        return found.name if found is not None and not found.is_pac else None

    def pinned_pac(self, upstreams: Mapping[str, Upstream], now: float) -> Upstream | None:
        """The PAC pinned now."""
        found = self._pinned(upstreams, now)
        return found if found is not None and found.is_pac else None

    def _pinned(self, upstreams: Mapping[str, Upstream], now: float) -> Upstream | None:
        return None if self.pin is None or self.pin.is_over(now) else upstreams.get(self.pin.upstream)

    def is_paused(self, now: float) -> bool:
        return self.pause is not None and not self.pause.is_over(now)

    def is_quarantined(self, name: str, now: float) -> bool:
        return name in self.quarantined and now < self.quarantined[name]

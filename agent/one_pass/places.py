"""Where the laptop is, for a record: two places that match the same network of the policy differ in the log.

`audit.places` says how much of that is kept. With "names" the log does not tell where a place is, only whether two
records are from the same one: its digest has a key that never leaves the state directory. The digest differs from the
one under "full", so that older records do not give the place away.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from msgspec import UNSET, UnsetType

from agent.system.keyed import keyed
from agent.system.state_file import StateFile
from agent.values.errors import AgentError
from agent.values.events import InterfaceSeen, PlaceSeen
from agent.values.policy import Places as Kept
from agent.values.snapshot import Interface, Snapshot

_MOST: Final = 500  # places known; the ones not visited for longest are forgotten first
_DIGITS: Final = 16
_PURPOSE: Final = "place"


class Places:
    """Those of one state directory; for who holds the lock."""

    def __init__(self, state: Path) -> None:
        self._digests = {kept: keyed(state, f"{_PURPOSE} {kept.value}") for kept in Kept}
        self._file = StateFile(state / "places.json", list[str], 1)
        self.kept = Kept.FULL

    @property
    def says_where(self) -> bool:
        """Whether the log may tell where a place is."""
        return self.kept is Kept.FULL

    def seen(self, snapshot: Snapshot) -> PlaceSeen:
        """The place of a snapshot, which is known from then on."""
        fingerprint = snapshot.fingerprint()
        here: str | UnsetType = UNSET
        is_new: bool | UnsetType = UNSET
        with contextlib.suppress(AgentError):  # a full disk: the record is worth more than what it is compared by
            here = digest = self._digests[self.kept](fingerprint)[:_DIGITS]
            is_new = self._visit(digest)
        if not self.says_where:
            return PlaceSeen(place=here, is_new=is_new)
        interfaces = tuple(_shown(one) for one in snapshot.interfaces if one.is_online)
        return PlaceSeen(place=here, is_new=is_new, fingerprint=fingerprint, interfaces=interfaces)

    def _known(self) -> list[str]:
        try:
            return self._file.load() or []
        except AgentError:  # damaged: it is written anew, and all places are new once more
            return []

    def _visit(self, here: str) -> bool:
        """Whether it was never visited before."""
        known = self._known()
        if known[-1:] != [here]:
            self._file.save([*(one for one in known if one != here), here][-_MOST:])
        return here not in known


def _shown(one: Interface) -> InterfaceSeen:
    return InterfaceSeen(
        name=one.name,
        ssid=one.ssid or "",
        gateways=one.gateways,
        gateway_macs=one.gateway_macs,
        addresses=(*one.ipv4, *one.ipv6_64s),
    )

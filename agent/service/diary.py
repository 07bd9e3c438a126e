"""What was last recorded of the network, the choice and a pending write, so that each change is recorded once.

Not known here: what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agent.audit.record import Record
from agent.decide.choose import Ending
from agent.one_pass.reconcile import network_changed, no_upstream, upstream_chosen
from agent.one_pass.seen import Offline, Planned, Seen
from agent.values.events import Facts, RestartDeferred, WentOffline
from agent.values.settings import Settings


class _Told(msgspec.Struct, frozen=True):
    """What was recorded last; None: nothing yet."""

    is_offline: bool = False
    network: str | None = None
    fingerprint: str | None = None
    ending: Ending | None = None
    upstream: str | None = None
    put_off: Settings | None = None  # what is to be written for a pending restart, and is not yet


class Diary:
    """Of one agent, from start to stop."""

    def __init__(self) -> None:
        self._told = _Told()

    def has_news(self, seen: Seen) -> bool:
        return bool(list(self._news(seen)))

    def tell(self, seen: Seen, record: Record) -> None:
        """Record what is new since the last time."""
        for facts in self._news(seen):
            record(facts)
        self._told = self._after(seen)

    def _news(self, seen: Seen) -> Iterator[Facts]:
        told = self._told
        if isinstance(seen, Offline):
            if not told.is_offline:
                yield WentOffline(was=told.network)
            return
        choice, network = seen.choice, seen.recognised.network.name
        if choice.ending is Ending.WAITING:
            return
        fingerprint = seen.snapshot.fingerprint()
        is_new = told.is_offline or (network, fingerprint) != (told.network, told.fingerprint)
        if is_new:
            # After offline it may be the same network as before: the change is that there is one again.
            was = "offline" if told.is_offline else told.network if told.network != network else None
            yield network_changed(seen.recognised, seen.snapshot, was=was)
        if choice.ending is not Ending.CHOSEN:
            if is_new or choice.ending is not told.ending:
                yield no_upstream(seen.recognised, choice, seen.verdicts)
        elif is_new or told.ending is not Ending.CHOSEN or choice.upstream != told.upstream:
            was = told.upstream if told.upstream != choice.upstream else None
            yield upstream_chosen(seen.recognised, choice, seen.verdicts, was=was)
        if _put_off(seen) not in (None, told.put_off) and isinstance(seen, Planned) and seen.plan.restart is not None:
            yield RestartDeferred(because=seen.plan.restart.because)

    def _after(self, seen: Seen) -> _Told:
        told = self._told
        if isinstance(seen, Offline):
            return msgspec.structs.replace(told, is_offline=True)
        if seen.choice.ending is Ending.WAITING:
            return told
        return _Told(
            network=seen.recognised.network.name,
            fingerprint=seen.snapshot.fingerprint(),
            ending=seen.choice.ending,
            upstream=seen.choice.upstream or told.upstream,
            put_off=_put_off(seen),
        )


def _put_off(seen: Seen) -> Settings | None:
    return seen.plan.desired if isinstance(seen, Planned) and seen.plan.put_off else None

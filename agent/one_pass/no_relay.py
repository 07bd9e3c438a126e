"""What stands in for the relay where none is managed: where there is none, and in a plan.

Not known here: how one is managed (`relay`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.decide.relay import Chosen, Relayed, Relaying, Stage
from agent.one_pass.ports import Relays, Works
from agent.values.events import Facts
from agent.values.policy import Network
from agent.values.relay import RelayState
from agent.values.settings import Settings
from agent.values.snapshot import Snapshot
from agent.values.verdict import Verdict


class NoRelay:
    """Where there is none, as in the demo."""

    next_at: float | None = None
    folder: Path | None = None

    def seen(self, in_docker: Collection[Settings], *, is_unheard: bool = False) -> Relayed:  # noqa: ARG002 - a Protocol's
        return Relayed()

    is_up = False
    upstream: str | None = None

    async def tell(self, _: Chosen) -> Relayed:
        return Relayed()

    async def serve(self, _: Chosen, __: Works, *, may_start: bool) -> Relayed:  # noqa: ARG002 - a Protocol's
        return Relayed()

    async def serve_paused(self, _: Chosen) -> Relayed:
        return Relayed()

    async def serve_offline(self, *, is_paused: bool, may_start: bool) -> Relayed:  # noqa: ARG002 - a Protocol's
        return Relayed()

    async def tell_at_once(self, _: Network, __: Mapping[str, Verdict], *, is_paused: bool) -> Relayed:  # noqa: ARG002 - a Protocol's
        return Relayed()

    async def withhold_passwords(
        self,
        _: Network,
        __: Mapping[str, Verdict],
        *,
        is_offline: bool = False,  # noqa: ARG002 - a Protocol's
    ) -> Relayed:
        return Relayed()

    async def give_back_passwords(self, _: Network, __: Mapping[str, Verdict]) -> Relayed:
        return Relayed()

    async def tell_of_bridges(self) -> Relayed:
        return Relayed()

    async def tell_who_waits(self) -> bool:
        return False

    async def leads_out(self, _: int, __: Chosen, ___: Snapshot) -> Verdict | None:
        return None

    def take_news(self) -> Sequence[Facts]:
        return ()

    def once_more(self, _: str) -> Sequence[Facts]:
        return ()

    def take_failure(self) -> bool:
        return False

    def state(self) -> RelayState | None:
        return None


class AsIfItWorked(NoRelay):
    """For a plan, which starts nothing: a relay that a pass would try first counts as working. Otherwise as it is.

    `is_seen`: another process has seen it work.
    """

    def __init__(self, relay: Relays, *, is_seen: bool = False) -> None:
        self._relay, self._is_seen = relay, is_seen

    def seen(self, in_docker: Collection[Settings], *, is_unheard: bool = False) -> Relayed:
        found = self._relay.seen(in_docker, is_unheard=is_unheard)
        if found.relaying.stage is not Stage.TRIED:
            return found
        # Where it does not listen yet, a look would find that containers cannot reach it.
        is_assumed = not self._is_seen
        return msgspec.structs.replace(
            found, relaying=Relaying(Stage.GIVEN), is_assumed=is_assumed, comes_up=is_assumed
        )

    async def leads_out(self, port: int, chosen: Chosen, snapshot: Snapshot) -> Verdict | None:
        return await self._relay.leads_out(port, chosen, snapshot)

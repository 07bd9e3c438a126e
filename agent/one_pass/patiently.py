"""How a command chooses, which has no next pass: it waits until there is a choice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.decide.choose import Choice, Ending
from agent.decide.plan import Holding
from agent.decide.rate import Asked
from agent.one_pass.memory import Memory
from agent.one_pass.ports import Prober
from agent.one_pass.seen import Verdicts
from agent.values.condition import Condition
from agent.values.dockerd import Reality
from agent.values.policy import Network, Policy, Upstream
from agent.values.snapshot import Snapshot
from agent.values.verdict import Verdict


class Patiently:
    """For a command, which has no next pass: waits until there is a choice. Everything is as after a network change."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.is_starting = False

    def is_patient(self, snapshot: Snapshot) -> bool:
        return self._memory.is_patient(snapshot)

    def know(self, policy: Policy) -> None:
        self._memory.know(policy)

    @property
    def pinned(self) -> str | None:
        return self._memory.pinned

    async def choose(self, network: Network, snapshot: Snapshot, in_docker: str | None) -> tuple[Verdicts, Choice]:
        while True:
            verdicts, choice = await self._memory.choose(network, snapshot, in_docker)
            at = self._memory.next_at(is_restart_due=False)
            if choice.ending is not Ending.WAITING or at is None:
                return verdicts, choice
            await asyncio.sleep(max(0.0, at - self._memory.now()))

    @property
    def next_choice_s(self) -> float | None:
        return self._memory.next_choice_s

    @property
    def is_paused(self) -> bool:
        return self._memory.is_paused

    @property
    def is_pause_laid_down(self) -> bool:
        return self._memory.is_pause_laid_down

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return self._memory.conditions

    @property
    def asked(self) -> Asked:
        return self._memory.asked

    def holding(self, reality: Reality) -> Holding:
        return self._memory.holding(reality)

    async def works(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        return await self._memory.works(upstream, snapshot)

    async def works_now(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        return await self._memory.works_now(upstream, snapshot)

    def refused(self, snapshot: Snapshot) -> Verdicts:
        return self._memory.refused(snapshot)


def only_looking(policy: Policy, prober: Prober, state: Path) -> Patiently:
    """The memory of a command that changes nothing."""
    memory = Memory(state, remembers=False)
    memory.use(policy, prober)
    return Patiently(memory)

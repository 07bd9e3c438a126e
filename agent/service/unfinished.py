"""What was begun with Docker and is not finished: an agent died, or dockerd's last start is still on probation.

It comes before every pass. Not known here: how it is finished or undone (`docker/recover.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Final

from agent.audit.record import Record
from agent.decide.probation import Trial
from agent.docker.journal import UnderWay
from agent.one_pass.ports import World
from agent.one_pass.seen import Pass
from agent.service.failures import Failures, ServicePart
from agent.system.clock import SYSTEM_CLOCK
from agent.system.process_start import boot_id
from agent.system.to_the_end import to_the_end
from agent.values.condition import Code, Condition
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError

FINISH_AGAIN_S: Final = 60.0  # a Docker that does not start is not started again and again
_MOVING_S: Final = 1.0  # until a Docker that crashed after our restart is up, or down for good


class Unfinished:
    """As one agent meets it, or one command."""

    def __init__(self, failures: Failures, record: Record, *, stops_within_s: float | None = None) -> None:
        """`stops_within_s`: how long a restart may still take once we are told to stop; None: as long as it takes."""
        self._failures = failures
        self._record = record
        self.stops_within_s = stops_within_s
        self._under_way = UnderWay()
        self._is_in_vain = False  # the last attempt to bring up a Docker that our settings keep down failed
        self.due_at = 0.0  # when to try again
        self.is_left = False  # something was still unfinished before the last pass
        self.forbids_writing = False

    def is_there(self, world: World) -> bool:
        """Whether an agent left something half done; also if that cannot be told."""
        try:
            return world.daemon.under_way().forbids_writing
        except AgentError:
            return True

    async def recover(self, world: World, *, may_restart: bool) -> bool:
        """Finish or undo what an agent left that died in the middle; works without a policy, too.

        Returns whether nothing may be written until it was called with `may_restart`.
        """
        self.due_at = SYSTEM_CLOCK.boottime_s() + FINISH_AGAIN_S
        try:
            recovering = world.daemon.recover(self._record, may_restart=may_restart)
            waits = await to_the_end(recovering, self.stops_within_s)
            if may_restart:  # not before: a home that hangs must not delay Docker's start
                await world.clients.recover()
        except Exception as error:  # noqa: BLE001 - the boundary of a pass
            if not await world.daemon.goes_down():
                self._failures.note(ServicePart.UNDER_WAY, error)
            return False
        return waits

    async def finish(self, world: World, reality: Reality | None) -> None:
        """Before a pass: at once if Docker is down, else at most once a minute. `reality`: Docker as last seen."""
        self.forbids_writing = True  # until it is known what is under way
        try:
            self._under_way = await self._finish_what_is_due(world, reality)
        except AgentError as error:
            self._failures.note(ServicePart.UNDER_WAY, error)
            return
        self._failures.clear(ServicePart.UNDER_WAY)
        self.is_left = self._under_way.is_unfinished
        self.forbids_writing = self._under_way.forbids_writing

    async def follow(self, world: World, done: Pass) -> None:
        """Read what a pass has begun or ended."""
        if done.outcome is not None or self._under_way.stage is not None:
            with contextlib.suppress(AgentError):  # the next pass reads it again
                self._under_way = await asyncio.to_thread(world.daemon.under_way)

    @property
    def trial(self) -> Trial | None:
        """The last start with our settings, while it is on probation."""
        return self._under_way.trial

    def next_at(self, world: World, reality: Reality | None) -> float | None:
        """When to look at a restart of ours again; None: no need."""
        now, times = SYSTEM_CLOCK.boottime_s(), []
        soon = max(now + _MOVING_S, self.due_at if self._is_in_vain else 0.0)
        if self.trial is not None:
            is_moving = _is_to_be_judged(self._under_way, world)
            times.append(soon if is_moving else now + max(0.0, self.trial.until - time.monotonic()))
        if _is_broken_by(self._under_way, reality):
            times.append(soon)
        return min(times, default=None)

    def conditions(self) -> Iterator[Condition]:
        if self.is_left:
            text = "a change of Docker's settings is unfinished; the agent tries again every minute"
            yield Condition(Code.NOT_FINISHED, text, "See: docker-proxy-agent audit")

    async def _finish_what_is_due(self, world: World, reality: Reality | None) -> UnderWay:
        under_way = await asyncio.to_thread(world.daemon.under_way)
        is_broken = _is_broken_by(under_way, reality)
        is_to_be_judged = _is_to_be_judged(under_way, world)
        self._is_in_vain = self._is_in_vain and is_broken
        is_due = is_broken or is_to_be_judged or under_way.is_unfinished
        is_at_once = (is_broken or is_to_be_judged) and not self._is_in_vain
        if not is_at_once and not (is_due and SYSTEM_CLOCK.boottime_s() >= self.due_at):
            return under_way
        self._is_in_vain = is_broken  # unless it is up by the next pass
        await self.recover(world, may_restart=True)
        return await asyncio.to_thread(world.daemon.under_way)


def _is_broken_by(under_way: UnderWay, reality: Reality | None) -> bool:
    """Whether Docker is down because of it."""
    if reality is None:
        return False
    has_died = reality.unit.phase is Phase.BROKEN and not reality.unit.comes_back
    return under_way.is_broken_by_it(reality.unit) or (under_way.trial is not None and has_died)


def _is_to_be_judged(under_way: UnderWay, world: World) -> bool:
    """Whether the start on probation can be judged now. Times from another boot mean nothing."""
    trial = under_way.trial
    is_of_before = under_way.boot != boot_id()
    return trial is not None and (is_of_before or world.daemon.is_to_be_judged(trial))

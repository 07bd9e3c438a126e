"""What was begun with Docker and has not come to its end: an agent died, or dockerd's last start is not believed yet.

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

FINISH_AGAIN_S: Final = 60.0  # a Docker that does not start is not started all the time
_MOVING_S: Final = 1.0  # a Docker that crashed after our restart, until it is up, or down for good


class Unfinished:
    """As one agent meets it, or one command."""

    def __init__(self, failures: Failures, record: Record, *, stops_within_s: float | None = None) -> None:
        """`stops_within_s`: how long what Docker needs may still take when we are told to stop; None: as it takes."""
        self._failures = failures
        self._record = record
        self.stops_within_s = stops_within_s
        self._under_way = UnderWay()
        self._is_in_vain = False  # a Docker that is down because of what was written could not be helped the last time
        self.due_at = 0.0  # when what could not be finished is tried again
        self.is_left = False  # the last time that it was looked at before a pass, there was something to finish
        self.forbids_writing = False

    async def recover(self, world: World, *, may_restart: bool) -> bool:
        """What an agent that ended in the middle left, with a policy or without.

        Whether nothing may be written before Docker, too, is looked after.
        """
        self.due_at = SYSTEM_CLOCK.boottime_s() + FINISH_AGAIN_S
        try:
            recovering = world.daemon.recover(self._record, may_restart=may_restart)
            waits = await to_the_end(recovering, self.stops_within_s)
            if may_restart:  # a home that hangs must not hold Docker's start up
                await world.clients.recover()
        except Exception as error:  # noqa: BLE001 - the boundary of a pass
            if not await world.daemon.goes_down():
                self._failures.note(ServicePart.UNDER_WAY, error)
            return False
        return waits

    async def finish(self, world: World, reality: Reality | None) -> None:
        """Before a pass: at most once a minute, but at once where Docker is down. `reality`: as it was last seen."""
        self.forbids_writing = True  # without knowing what is under way nothing may be done
        try:
            self._under_way = await self._finish_what_is_due(world, reality)
        except AgentError as error:
            self._failures.note(ServicePart.UNDER_WAY, error)
            return
        self._failures.clear(ServicePart.UNDER_WAY)
        self.is_left = self._under_way.is_unfinished
        self.forbids_writing = self._under_way.forbids_writing

    async def follow(self, world: World, done: Pass) -> None:
        """After a pass: what it began, or ended."""
        if done.outcome is not None or self._under_way.stage is not None:
            with contextlib.suppress(AgentError):  # it is looked at before the next pass
                self._under_way = await asyncio.to_thread(world.daemon.under_way)

    @property
    def trial(self) -> Trial | None:
        """The last start with what was written, which is not believed yet."""
        return self._under_way.trial

    def next_at(self, world: World, reality: Reality | None) -> float | None:
        """When a restart of ours has to be looked at again; None: none has."""
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
            text = "what was begun with Docker is not finished: it is tried again every minute"
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
        self._is_in_vain = is_broken  # if it is so the next time, too
        await self.recover(world, may_restart=True)
        return await asyncio.to_thread(world.daemon.under_way)


def _is_broken_by(under_way: UnderWay, reality: Reality | None) -> bool:
    """Whether this Docker is down because of it."""
    if reality is None:
        return False
    has_died = reality.unit.phase is Phase.BROKEN and not reality.unit.comes_back
    return under_way.is_broken_by_it(reality.unit) or (under_way.trial is not None and has_died)


def _is_to_be_judged(under_way: UnderWay, world: World) -> bool:
    """Whether something has become of a start that is not believed yet; times of another boot say nothing."""
    trial = under_way.trial
    is_of_before = under_way.boot != boot_id()
    return trial is not None and (is_of_before or world.daemon.is_to_be_judged(trial))

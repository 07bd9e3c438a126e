"""Whether Docker, after a restart, runs with what was written: it is asked until it says so, or it is known why not.

That the restart succeeded proves nothing (FACTS 7): what dockerd reports does.
Not known here: what follows (`transaction.py`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from agent.decide.effective import effective
from agent.decide.overruled import overruled
from agent.decide.plan import Plan
from agent.docker.away import Away
from agent.docker.ports import Look
from agent.system.running_time import Left
from agent.values.condition import Code, Condition
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.errors import AgentError, ByOthers, NotInForce, RestartFailed
from agent.values.policy import Method
from agent.values.settings import Settings, agrees

REPORTS_WITHIN_S: Final = 60.0  # once dockerd is up it has this long to report what was written
CONFIRMS_WITHIN_S: Final = 5.0  # one that reports nothing at all has this long, then its process decides (FACTS 61)
LEAVES_WITHIN_S: Final = 300.0  # for a stop that is not ours, which may have no limit (TimeoutStopSec=infinity)
_LOOK_AGAIN_S: Final = 0.1


class CameUpOtherwise(AgentError):
    """dockerd came up without what was written for it, because something overrides it: another try changes nothing."""

    def __init__(self, condition: Condition, runs_with: Settings, reality: Reality) -> None:
        super().__init__(condition.target, condition.text, condition.remedy)
        self.reality = reality  # of that start
        self.condition = condition
        self.runs_with = runs_with


class Confirming:
    """Of one Docker, restart after restart."""

    def __init__(self, look: Look, *, reports_within_s: float, leaves_within_s: float) -> None:
        self._look = look
        self._reports_within_s = reports_within_s
        self._leaves_within_s = leaves_within_s
        self._confirms_within_s = min(CONFIRMS_WITHIN_S, reports_within_s / 2)
        self.last_look: Reality | None = None  # since a restart

    async def until_in_force(self, plan: Plan, started: UnitState) -> Reality:
        """The Docker that runs with it. AgentError: why it does not. `started`: as the restart left the unit."""
        desired = plan.desired
        left = Left(self._reports_within_s)
        unconfirmed = Left(self._confirms_within_s)
        leaves = Left(self._leaves_within_s)
        away = Away()
        while True:
            try:
                now = await self._look.reality(desired)
            except AgentError as error:  # while systemd itself is being updated it answers nothing
                if left.is_over():
                    raise NotInForce("docker", f"the settings that it runs with cannot be read: {error}") from error
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            self.last_look = now
            is_unconfirmed = now.is_silent and not unconfirmed.is_over()
            running = None if is_unconfirmed else effective(now)
            if running is not None and agrees(running, desired):
                return now
            if running is not None and now.unit.invocation != started.invocation:
                raise ByOthers(now.unit_name, "was restarted meanwhile, not by the agent, and runs with other settings")
            if running is not None:
                raise _why_not_in_force(plan, now, running)
            if now.unit.phase is Phase.BROKEN:
                raise RestartFailed(now.unit_name, "came up, then failed", f"See: journalctl -u {now.unit_name} -n 50")
            if now.is_systemd and away.lasts(now.unit):  # without systemd a crash looks like a stop
                raise ByOthers(now.unit_name, f"is {now.unit.phase.value} now, not by the agent, so it is left alone")
            self._check_time(now, left, leaves)
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _check_time(self, now: Reality, left: Left, leaves: Left) -> None:
        """Raises when there is nothing more to wait for: a report that may still come, or the end of another's stop."""
        # Whether a Docker that is down was stopped on purpose shows a moment later.
        is_on_its_way_down = now.is_systemd and (now.unit.is_away or now.unit.phase is Phase.STOPPING)
        if left.is_over() and not is_on_its_way_down:
            raise NotInForce("docker", f"did not report its settings within {self._reports_within_s:.0f} s")
        if leaves.is_over():
            raise ByOthers(now.unit_name, f"is still {now.unit.phase.value}, not by the agent, so it is left alone")


def _why_not_in_force(plan: Plan, now: Reality, running: Settings) -> AgentError:
    """Whether dockerd refused what it was given, or did not get it: in that case the settings are not to blame."""
    given = now.running_environment
    if plan.method is not Method.DROP_IN or given is None or agrees(given.meaning(), plan.desired):
        return NotInForce("docker", f"runs with settings other than those written: {in_words(running)}")
    beaten = overruled(plan.desired, now)
    because = beaten.text if beaten else "its process did not get the environment of its unit"
    text = f"Docker came up and runs with {in_words(running)} instead of what was written: {because}"
    target = beaten.target if beaten else now.unit_name
    remedy = beaten.remedy if beaten else f"See: systemctl cat {now.unit_name}"
    condition = Condition(beaten.code if beaten else Code.NOT_EFFECTIVE, text, remedy, target)
    return CameUpOtherwise(condition, running, now)


def in_words(running: Settings) -> str:
    """What Docker runs with."""
    return ", ".join(f"{name} {value}" for name, value in running.lines())

"""Which parts of the service do not work: recorded once, shown, and tried again, later each time.

Not known here: what a failure stops; that is for whoever catches it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.decide.backoff import again_s
from agent.system.clock import SYSTEM_CLOCK
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, Unexpected
from agent.values.events import TargetNotWritten


class ServicePart(enum.Enum):
    """What can fail by itself: that one part works again says nothing about the others."""

    POLICY = "policy"
    UNDER_WAY = "what is under way"
    LAID_DOWN = "what a person laid down"
    WAKES = "what wakes the agent"
    WHOLE = "the pass"


class Failures:
    """The parts that failed when they were last used."""

    def __init__(self, policy_path: Path, record: Record) -> None:
        self._policy_path = policy_path
        self._record = record
        self._failed: dict[ServicePart, AgentError] = {}
        self._in_a_row = 0  # passes

    def note(self, part: ServicePart, error: Exception, record: Record | None = None) -> None:
        """Note a failure; the same one in a row is recorded once."""
        where = str(self._policy_path) if part is ServicePart.POLICY else part.value
        failure = error if isinstance(error, AgentError) else unexpected(where, error)
        if str(failure) != str(self._failed.get(part)):
            (record or self._record)(TargetNotWritten(targets=(failure.where,), error=str(failure)))
        self._failed[part] = failure

    def clear(self, part: ServicePart) -> None:
        """The part works again."""
        self._failed.pop(part, None)
        if part is ServicePart.WHOLE:
            self._in_a_row = 0

    def back_off(self) -> float:
        """When to try again (CLOCK_BOOTTIME): later each time, until a whole pass works."""
        self._in_a_row += 1
        return SYSTEM_CLOCK.boottime_s() + again_s(self._in_a_row)

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each failure; () if everything works."""
        return tuple(str(failure) for failure in self._failed.values())

    def conditions(self, last_at: str | None) -> Iterator[Condition]:
        """`last_at`: when the last good pass was, whose result is still shown; None: there was none."""
        for failure in self._failed.values():
            yield _condition(failure, last_at)


def _condition(failure: AgentError, last_at: str | None) -> Condition:
    if not isinstance(failure, Unexpected):
        return Condition(Code.TARGET_FAILED, failure.what, failure.remedy, failure.where)
    shown = f"; the rest of this status is from {last_at}" if last_at is not None else ""
    return Condition(
        Code.INTERNAL_ERROR, f"{failure.what}; the agent will try again{shown}", failure.remedy, failure.where
    )

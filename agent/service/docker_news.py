"""What the log says of a restart that waited, and became moot while Docker ran on.

Pure. Not known here: starts and stops of Docker (`docker/news.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.audit.so_far import SoFar
from agent.one_pass.seen import Planned, Seen
from agent.values.events import Facts, RestartDropped
from agent.values.settings import agrees


def of_a_restart_that_waited(seen: Seen, so_far: SoFar) -> Iterator[Facts]:
    """That it is not due any more, if it is not."""
    unit, name = seen.reality.unit, seen.reality.unit_name
    if not so_far.of(name).restart_waits or not isinstance(seen, Planned):
        return
    is_same = unit.is_running and so_far.says_start(name, unit.invocation)
    plan = seen.plan
    # That no restart is planned is not enough: none is where Docker does not say what it runs with, or is overruled.
    runs_with_it = plan.effective is not None and agrees(plan.effective, plan.desired)
    if is_same and plan.restart is None and not plan.put_off and runs_with_it:
        yield RestartDropped(unit=name, because="what Docker runs with is what is wanted again")

"""The starts of dockerd, as one pass after another sees them: which of them were somebody else's.

Not known here: what so many starts hold back (`decide/rate.py`).
"""

from __future__ import annotations

from agent.decide.rate import Cause
from agent.one_pass.seen import Pass


class Starts:
    """Of one run of the agent; the first start that is seen was before it."""

    def __init__(self) -> None:
        self._seen: str | None = None  # systemd's InvocationID of the last; None: the next one that is seen is known

    def note(self, done: Pass) -> tuple[Cause, ...]:
        """Who caused each start since the pass before: those that this pass found, then its own."""
        causes = []
        invocation = done.seen.reality.unit.invocation  # '' while none runs
        if invocation:
            if self._seen not in (None, invocation):
                causes.append(Cause.OTHERS)
            self._seen = invocation
        if done.has_restarted:
            causes.append(Cause.AGENT)
            self._seen = None
        return tuple(causes)

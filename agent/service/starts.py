"""Who started dockerd: this agent, or others.

Not known here: how starts delay the next restart (`decide/rate.py`).
"""

from __future__ import annotations

from agent.one_pass.seen import Pass
from agent.values.dockerd import Cause


class Starts:
    """As one agent sees them; the first one it sees was there before."""

    def __init__(self) -> None:
        self._seen: str | None = None  # InvocationID of the last start; None: the next one is expected

    def note(self, done: Pass) -> tuple[Cause, ...]:
        """The cause of each start since the previous pass: first those this pass found, then its own."""
        causes = []
        invocation = done.seen.reality.unit.invocation  # '' while dockerd is down
        if invocation:
            if self._seen not in (None, invocation):
                causes.append(Cause.OTHERS)
            self._seen = invocation
        if done.has_restarted:
            causes.append(Cause.AGENT)
            self._seen = None
        return tuple(causes)

"""Which Docker one agent serves: by the policy or by what runs, but none is left in the middle of a restart.

Another one would be judged by what the first was given, and the first might stay down. Not known here: which one is
wanted, and what is under way (`docker/which.py`).
"""

from __future__ import annotations

from typing import Final

from agent.audit.record import Record
from agent.docker.journal import Journal
from agent.docker.which import in_the_middle, wanted
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.errors import AgentError
from agent.values.events import SettingsRolledBack
from agent.values.paths import Paths
from agent.values.policy import Policy

# A restart, its roll-back and the minute on trial are over by then: what goes on is of a Docker that does not start.
STAYS_AT_MOST_S: Final = 600.0


class Served:
    """That of one agent."""

    def __init__(self, paths: Paths, record: Record, clock: Clock = SYSTEM_CLOCK) -> None:
        self._paths = paths
        self._record = record
        self._clock = clock
        self._wanted_since: float | None = None  # another one is; without the time in suspend, as a trial counts
        self.here = paths

    @property
    def service(self) -> str:
        return self.here.layout.service

    @property
    def is_another_wanted(self) -> bool:
        return self._wanted_since is not None

    @property
    def may_move(self) -> bool:
        """Whether that one could be served by now."""
        return self.is_another_wanted and not in_the_middle(self._paths)

    def look(self, policy: Policy) -> None:
        """See which one is to be served now."""
        named = policy.docker.service_named(self._paths.layout.service)
        another, kept = wanted(self._paths, named, self.service), in_the_middle(self._paths)
        if kept in ("", another):
            self._wanted_since = None
        elif self._wanted_since is None:
            self._wanted_since = self._clock.monotonic_s()
        elif self._clock.monotonic_s() >= self._wanted_since + STAYS_AT_MOST_S and self._gives_up(kept):
            self._wanted_since, kept = None, ""
        self.here = self._paths.serving(kept or another)

    def _gives_up(self, unit: str) -> bool:
        try:
            left = Journal(self._paths.state, unit).give_up()
        except AgentError:  # a full disk: tried again with the next pass
            return False
        said = ("its restart does not end, and the agent has to serve another Docker", *left)
        self._record(SettingsRolledBack(unit=unit, because="; ".join(said), started_again=()))
        return True

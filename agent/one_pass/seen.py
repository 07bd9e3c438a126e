"""What a pass has found out, and what it has done. Values only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.docker.transaction import Applied
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import Phase, Reality
from agent.values.snapshot import Snapshot
from agent.values.verdict import Verdict

Verdicts = Mapping[str, Verdict]


class Seen(msgspec.Struct, frozen=True):
    """What a pass found out and would do. Without a choice the host is offline; without a plan nothing is chosen."""

    snapshot: Snapshot
    recognised: Recognised | None = None
    verdicts: Verdicts = msgspec.field(default_factory=dict)
    choice: Choice | None = None
    reality: Reality | None = None
    plan: Plan | None = None
    clients: ClientsSeen | None = None
    in_docker: str | None = None  # the upstream that Docker's settings mean, if it is one of the policy's
    are_clients_next: bool = False  # they are looked at when Docker's half is done
    keeps_down: Condition | None = None  # what of its file keeps a Docker down that broke
    beside: tuple[Condition, ...] = ()  # what else goes through the upstream, and fails there

    @property
    def acts(self) -> bool:
        """Whether carrying it out would change something."""
        return self.daemon_acts or self.are_clients_next or bool(self.clients and self.clients.edits)

    @property
    def daemon_acts(self) -> bool:
        return self.plan is not None and self.plan.acts

    @property
    def restarts(self) -> bool:
        """Whether carrying it out would restart Docker."""
        return self.plan is not None and self.plan.restarts

    @property
    def is_offline(self) -> bool:
        return self.snapshot.is_offline

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What a person should know of this pass before anything is carried out."""
        of_plan = self.plan.condition if self.plan else None
        found = (
            self._of_docker,
            _of_choice(self.choice) if self.choice else None,
            None if self._is_said_of_docker(of_plan) else of_plan,
            *self.beside,
            *(self.clients.conditions if self.clients else ()),
        )
        return tuple(condition for condition in found if condition is not None)

    @property
    def _of_docker(self) -> Condition | None:
        if self.reality is None or self.reality.unit.phase is not Phase.BROKEN:
            return None
        if self.plan is not None and self.plan.starts_docker:
            return None
        return down(self.reality.unit_name, self.keeps_down)

    def _is_said_of_docker(self, condition: Condition | None) -> bool:
        known = self.keeps_down
        if known is None or condition is None:
            return False
        return (known.code, known.target) == (condition.code, condition.target)


class Pass(msgspec.Struct, frozen=True):
    """A pass that was carried out."""

    seen: Seen
    outcome: Applied | None = None  # None: nothing was to be done for the daemon
    clients: tuple[ClientFile, ...] = ()  # those that were to be written

    @property
    def is_failed(self) -> bool:
        """Whether a command that made it has failed."""
        return (
            any(condition.code.is_failure for condition in self.seen.conditions)
            or (self.outcome is not None and self.outcome.is_failed)
            or bool(self.seen.clients and self.seen.clients.failed)
            or any(file.error for file in self.clients)
        )


def _of_choice(choice: Choice) -> Condition | None:
    if choice.ending is Ending.PORTAL:
        return Condition(Code.PORTAL, choice.because)
    if choice.ending is Ending.UNREACHABLE:
        return Condition(Code.UNREACHABLE, choice.because, "See: docker-proxy-agent probe")
    return None

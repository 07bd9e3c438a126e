"""What a pass found, and what it did. Values only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import Choice, Ending
from agent.decide.dead_end import dead_ends
from agent.decide.pac import PacSeen, split_of
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.decide.relay import Relayed
from agent.decide.stale import Ends, condition, expected, out_of_reach
from agent.docker.transaction import Applied
from agent.targets.container import Carried
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import FileFault, Phase, Reality
from agent.values.policy import Upstream
from agent.values.snapshot import Snapshot
from agent.values.verdict import Verdict

Verdicts = Mapping[str, Verdict]


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """What every pass looks at, online or not."""

    snapshot: Snapshot
    reality: Reality
    in_docker: str | None = None  # the upstream of the policy that Docker's settings mean, if any
    keeps_down: FileFault | None = None  # what in daemon.json keeps a broken Docker down
    verdicts: Verdicts = {}
    clients: ClientsSeen | None = None  # None: not looked at
    relayed: Relayed = Relayed()

    @property
    def acts(self) -> bool:
        """Whether carrying it out would change something."""
        return self.clients is not None and bool(self.clients.edits)

    @property
    def daemon_acts(self) -> bool:
        return False

    @property
    def restarts(self) -> bool:
        """Whether carrying it out would restart Docker."""
        return False

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What a person should know of this pass before anything is carried out."""
        of_clients = self.clients.conditions if self.clients is not None else ()
        return (*self._of_docker, *self._of_choice, *self.relayed.conditions, *of_clients)

    @property
    def _of_docker(self) -> tuple[Condition, ...]:
        if self.reality.unit.phase is not Phase.BROKEN:
            return ()
        return (down(self.reality.unit_name, self.keeps_down),)

    @property
    def _of_choice(self) -> tuple[Condition, ...]:
        return ()


class Offline(_Look, frozen=True, kw_only=True):
    """There is no network: nothing is touched."""


class _InNetwork(_Look, frozen=True, kw_only=True):
    """The network, the verdicts of its upstreams, and the choice."""

    recognised: Recognised
    choice: Choice
    pacs: tuple[PacSeen, ...] = ()  # those that this network uses

    @property
    def _dead_ends(self) -> tuple[Condition, ...]:
        return dead_ends(self.verdicts, self.reality)


class Undecided(_InNetwork, frozen=True, kw_only=True):
    """No upstream is chosen: none works, a portal is in the way, or an answer is missing. Docker keeps what it has.

    `clients` is None unless their settings lead to another user's listener.
    """

    @property
    def is_waiting(self) -> bool:
        """Whether an upstream may still come; the next pass looks soon."""
        return self.choice.ending is Ending.WAITING

    @property
    def _of_choice(self) -> tuple[Condition, ...]:
        match self.choice.ending:
            case Ending.PORTAL:
                return (Condition(Code.PORTAL, self.choice.because), *self._dead_ends)
            case Ending.UNREACHABLE:
                return (
                    Condition(Code.UNREACHABLE, self.choice.because, "See: docker-proxy-agent probe"),
                    *self._dead_ends,
                )
        return self._dead_ends


class Planned(_InNetwork, frozen=True, kw_only=True):
    """An upstream is chosen, and there is a plan for it.

    `clients` is None if they are looked at after Docker's half.
    """

    upstream: Upstream
    plan: Plan
    beside: tuple[Condition, ...] = ()  # what else Docker sends through the upstream, and fails

    @property
    def acts(self) -> bool:
        return self.plan.acts or self.clients is None or bool(self.clients.edits)

    @property
    def daemon_acts(self) -> bool:
        return self.plan.acts

    @property
    def restarts(self) -> bool:
        return self.plan.restarts

    @property
    def _of_docker(self) -> tuple[Condition, ...]:
        return () if self.plan.starts_docker else super()._of_docker

    @property
    def _of_choice(self) -> tuple[Condition, ...]:
        said = self.plan.condition
        of_plan = () if said is None or self._is_said_of_docker(said) else (said,)
        return (*of_plan, *self._dead_ends, *self.beside, *self._splits)

    @property
    def _splits(self) -> Iterator[Condition]:
        """With the relay the PAC decides for each request."""
        if self.relayed.for_docker is None:
            yield from (one for pac in self.pacs if pac.name == self.upstream.named_by for one in split_of(pac))

    def _is_said_of_docker(self, said: Condition) -> bool:
        """Whether the condition `engine-down` says it already."""
        is_of_file = said.code is Code.FOREIGN_CONFIG_BROKEN
        return is_of_file and self.keeps_down is not None and said.target == self.keeps_down.path


Seen = Offline | Undecided | Planned
AnySeen = TypeVar("AnySeen", bound=Seen)


class Pass(msgspec.Struct, frozen=True):
    """A pass that was carried out."""

    seen: Seen
    outcome: Applied | None = None  # None: nothing was to be done for the daemon
    clients: tuple[ClientFile, ...] = ()  # those that had to be written
    carried: tuple[Carried, ...] = ()  # by the containers that run, as far as that is known

    @property
    def containers_out_of_reach(self) -> Condition | None:
        """That some have the relay's address and cannot reach it."""
        return out_of_reach(self.carried, self.seen.relayed.listens)

    @property
    def containers_stale(self) -> Condition | None:
        """That some were made with other settings than this choice means."""
        clients, relayed = self.seen.clients, self.seen.relayed
        is_known = clients is not None and isinstance(self.seen, Planned)
        expects = expected(clients.wanted, has_files=bool(clients.files)) if clients is not None and is_known else None
        return condition(self.carried, expects, Ends(relayed.leaving, relayed.gone, relayed.taken))

    @property
    def has_restarted(self) -> bool:
        """Whether it has restarted Docker, be it in vain."""
        return self.outcome is not None and (self.outcome.restarted_s is not None or bool(self.outcome.rolled_back))

    @property
    def containers_lost(self) -> Condition | None:
        """That some did not run on through its restart."""
        condition = self.outcome.condition if self.outcome is not None else None
        return condition if condition is not None and condition.code is Code.CONTAINERS_LOST else None

    @property
    def is_failed(self) -> bool:
        """Whether a command that made this pass failed."""
        return (
            any(condition.code.is_failure for condition in self.seen.conditions)
            or (self.outcome is not None and self.outcome.is_failed)
            or bool(self.seen.clients and self.seen.clients.failed)
            or any(file.error for file in self.clients)
        )

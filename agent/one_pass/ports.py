"""What a pass asks of the world, and of who makes it: one Protocol for each.

`world.py` has the ones of this host, `memory.py` and the service those of the agent; tests hand in others as real. Not
known here: what a pass makes of the answers (`reconcile.py`, `restore.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from agent.audit.record import Record
from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import Choice
from agent.decide.plan import Holding, OwnedDaemonJson, Plan
from agent.decide.probation import Trial
from agent.decide.rate import Asked
from agent.docker.journal import UnderWay
from agent.docker.transaction import Applied
from agent.one_pass.seen import AnySeen, Seen, Verdicts
from agent.values.condition import Condition
from agent.values.dockerd import FileFault, Reality
from agent.values.policy import Network, Upstream
from agent.values.reason import Reason
from agent.values.settings import Settings
from agent.values.snapshot import Snapshot
from agent.values.verdict import Verdict


class Host(Protocol):
    """Looks at the host's network."""

    async def see(self) -> Snapshot: ...


class Prober(Protocol):
    """Tests upstreams side by side, and stops as soon as what it knows is enough."""

    async def verdicts(self, upstreams: Sequence[Upstream], is_enough: Callable[[Verdicts], bool]) -> Verdicts: ...
    async def silence(self, upstream: Upstream) -> str:
        """Why an app on this host is not worth a probe yet; '' if it listens, by a bare connect."""
        ...

    async def beside(self, upstream: Upstream) -> tuple[Condition, ...]:
        """What else of Docker's goes through an upstream that works, and fails there.

        Asked once per arrival, and again after a while where something failed. What is not known yet is not waited for
        where a later pass can say it.
        """
        ...

    def take_heard(self) -> Verdicts:
        """What was said of upstreams in this network but not by `verdicts`, each once: a password is refused by now."""
        ...

    def loopback(self, host: str) -> tuple[str, ...]:
        """The loopback addresses that a host is, as it is spelled or was last looked up; () if it is elsewhere."""
        ...


class Daemon(Protocol):
    """dockerd: looked at, and changed."""

    def known(self) -> Reality | None:
        """What was last found, if nothing that tells of a change has moved since; costs microseconds."""
        ...

    async def reality(self, *desired: Settings) -> Reality: ...
    async def busy_now(self, found: Reality) -> Reality:
        """The same with what dockerd is in the middle of by now: less to ask than a whole look."""
        ...

    def owned(self, reality: Reality) -> OwnedDaemonJson: ...
    async def refusal(self, reality: Reality) -> FileFault | None:
        """What dockerd itself says against daemon.json as others wrote it; of the same text it is asked once."""
        ...

    def note(self, reality: Reality) -> None:
        """Keep what dockerd is seen to run with; the same again costs nothing."""
        ...

    async def goes_down(self) -> bool:
        """Whether the whole system does: then nothing is written or restarted, and nothing that ends is a failure."""
        ...

    def under_way(self) -> UnderWay:
        """What is not finished yet. AgentError if that is not known."""
        ...

    def is_to_be_judged(self, trial: Trial) -> bool:
        """Whether a restart that is not believed yet has to be looked at: something moved, or its time is over."""
        ...

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        """Finish or undo what an agent that ended in the middle left. AgentError if that is not known.

        Without `may_restart`: whether nothing may be written before it is called again with it.
        """
        ...

    def carry_out(self, plan: Plan, reality: Reality, record: Record) -> Coroutine[Any, Any, Applied]: ...


class Clients(Protocol):
    """The clients' files: looked at, and changed. What fails for one is said, and stops nobody else."""

    async def recover(self) -> None:
        """Clear away what an agent that ended in the middle left in a home."""
        ...

    async def let_go(self) -> None:
        """What is still under way is not written any more."""
        ...

    async def look(self, upstream: Upstream) -> ClientsSeen: ...
    def carry_out(self, seen: ClientsSeen, record: Record) -> Coroutine[Any, Any, Sequence[ClientFile]]: ...


class Choosing(Protocol):
    """Probes the upstreams of a network and chooses one; and knows what holds a pass back."""

    @property
    def asked(self) -> Asked:
        """Who wants this pass."""
        ...

    @property
    def is_starting(self) -> bool:
        """Whether it is too early to restart Docker: it may be waiting for us."""
        ...

    @property
    def is_paused(self) -> bool: ...

    async def choose(self, network: Network, snapshot: Snapshot, in_docker: str | None) -> tuple[Verdicts, Choice]:
        """`in_docker`: the upstream that Docker's settings mean, if it is one of the policy's."""
        ...

    def holding(self, reality: Reality) -> Holding:
        """What holds a restart of this dockerd back."""
        ...

    async def works(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        """Whether a way out works here, be it in `use` or not."""
        ...


class Maker(Protocol):
    """Who makes a pass: the service, or a command on its own."""

    @property
    def is_hasty(self) -> bool:
        """Whether a restart of Docker is not to wait for anybody's home: the clients are then looked at behind it."""
        ...

    async def interrupted(self) -> Reason:
        """Until something comes that a pass which only looks should not wait for."""
        ...

    def has_news(self, seen: Seen) -> bool:
        """Whether there is something to tell of network and choice."""
        ...

    def tell(self, seen: Seen, record: Record) -> None:
        """What is new of network and choice, each once."""
        ...

    def judge(self, seen: AnySeen, record: Record) -> AnySeen:
        """What is left to do of it."""
        ...

    def begin(self, seen: Seen, record: Record) -> None:
        """It is about to be carried out."""
        ...


class World(Protocol):
    """Everything outside of the decisions."""

    @property
    def host(self) -> Host: ...
    @property
    def prober(self) -> Prober: ...
    @property
    def daemon(self) -> Daemon: ...
    @property
    def clients(self) -> Clients: ...

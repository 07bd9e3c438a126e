"""What a pass needs from outside, one Protocol each.

`world.py` implements those of this host; `memory.py` and the service those of the agent. Tests pass in others that are
just as real. Not known here: what a pass does with the answers (`reconcile.py`, `restore.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from agent.audit.record import Record
from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import Choice
from agent.decide.pac import PacSeen
from agent.decide.plan import Holding, OwnedDaemonJson, Plan
from agent.decide.probation import Trial
from agent.decide.rate import Asked
from agent.decide.relay import Chosen, Relayed
from agent.docker.journal import UnderWay
from agent.docker.transaction import Applied
from agent.one_pass.seen import AnySeen, Seen, Verdicts
from agent.targets.container import Carried
from agent.values.condition import Condition
from agent.values.dockerd import FileFault, Reality, Running
from agent.values.events import Facts
from agent.values.policy import Network, Policy, RegistryUrl, Upstream
from agent.values.reason import Reason
from agent.values.relay import RelayState
from agent.values.settings import Settings
from agent.values.snapshot import Snapshot
from agent.values.vantage import Vantage
from agent.values.verdict import Verdict

Works = Callable[[str], Awaitable[Verdict]]  # by name of an upstream


class Host(Protocol):
    """Looks at the host's network."""

    async def see(self) -> Snapshot: ...
    def dns_elsewhere(self) -> tuple[str, ...]:
        """The current DNS servers, except this host; cheaper than a look, and nothing else follows from it."""
        ...


class Prober(Protocol):
    """Probes upstreams side by side and stops as soon as the verdicts are enough."""

    async def verdicts(self, upstreams: Sequence[Upstream], is_enough: Callable[[Verdicts], bool]) -> Verdicts: ...
    async def verdict_by(self, registries: Sequence[RegistryUrl], upstream: Upstream) -> Verdict:
        """By these registries alone, and nothing that they lead to."""
        ...

    @property
    def vantage(self) -> Vantage:
        """Where dockerd stands, by the last look at it."""
        ...

    @property
    def is_password_out(self) -> bool:
        """Whether a probe has sent a password, and its verdict has not been reported yet."""
        ...

    async def silence(self, upstream: Upstream) -> str:
        """Why an app on this host cannot be probed yet, found by a bare connect; '' if it listens."""
        ...

    async def beside(self, upstream: Upstream) -> tuple[Condition, ...]:
        """What else Docker sends through a working upstream, and fails there.

        Probed once per arrival, and again after a while if something failed. If a later pass can report it, this one
        does not wait.
        """
        ...

    def take_heard(self) -> Verdicts:
        """Verdicts that other requests brought, each once: a password that was refused meanwhile."""
        ...

    def loopback(self, host: str) -> tuple[str, ...]:
        """The loopback addresses of a host, by its spelling or the last look-up; () if it is elsewhere."""
        ...


class Daemon(Protocol):
    """Looks at dockerd and changes it."""

    def known(self) -> Reality | None:
        """The last result, if nothing shows a change since; costs microseconds."""
        ...

    async def reality(self, *desired: Settings) -> Reality: ...
    async def busy_now(self, found: Reality) -> Reality:
        """The same with the current containers and transfers: cheaper than a full look."""
        ...

    async def running(self) -> frozenset[Running]:
        """The containers that run, asked one by one. EngineSilent if dockerd does not answer."""
        ...

    def owned(self, reality: Reality) -> OwnedDaemonJson: ...
    async def refusal(self, reality: Reality) -> FileFault | None:
        """Why dockerd would refuse daemon.json as others wrote it; it is asked once per text."""
        ...

    def note(self, reality: Reality) -> None:
        """Remember what dockerd runs with. The same value again costs nothing."""
        ...

    async def goes_down(self) -> bool:
        """Whether the system is shutting down: then nothing is written or restarted, and no failure counts."""
        ...

    def under_way(self) -> UnderWay:
        """The unfinished transaction. AgentError if that is unknown."""
        ...

    def is_to_be_judged(self, trial: Trial) -> bool:
        """Whether a restart on probation has to be judged now: dockerd changed, or the minute is over."""
        ...

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        """Finish or undo what a crashed agent left. AgentError if that is unknown.

        Without `may_restart`: returns whether nothing may be written until it is called again with it.
        """
        ...

    def carry_out(self, plan: Plan, reality: Reality, record: Record) -> Coroutine[Any, Any, Applied]: ...
    async def carried(self, *, anew: bool = False) -> Sequence[Carried] | None:
        """What the running containers carry; None: not known.

        dockerd is only asked after a look at it; with `anew` also without one, if it answered then.
        """
        ...


class Clients(Protocol):
    """Looks at clients' files and changes them. A failure is reported for that file; the others go on."""

    def one_pass(self) -> AbstractAsyncContextManager[None]:
        """Around all looks and writes of one pass, which cost less within it."""
        ...

    async def recover(self) -> None:
        """Remove temporary files that a crashed agent left in homes."""
        ...

    async def let_go(self) -> None:
        """Stop writes that are still under way."""
        ...

    async def look(self, upstream: Upstream, relay: Upstream | None = None) -> ClientsSeen:
        """`relay`: what they are given instead of the upstream, if anything."""
        ...

    def carry_out(self, seen: ClientsSeen, record: Record) -> Coroutine[Any, Any, Sequence[ClientFile]]: ...


class Relays(Protocol):
    """Keeps the relay."""

    def seen(self, in_docker: Collection[Settings], *, is_unheard: bool = False) -> Relayed:
        """As it stands. `in_docker`: what Docker runs with, and what it would after a start.

        `is_unheard`: it runs, and it is not known with what.
        """
        ...

    @property
    def is_up(self) -> bool:
        """Whether it was brought up, so that Docker and containers may go by it."""
        ...

    @property
    def upstream(self) -> str | None:
        """That it uses now; None: none of the policy's."""
        ...

    async def tell(self, chosen: Chosen) -> Relayed:
        """Tell it of a choice, whatever is known of Docker, and nothing else."""
        ...

    async def serve(self, chosen: Chosen, works: Works, *, may_start: bool) -> Relayed:
        """Tell it of a choice, and probe it where that is due. `may_start`: whether systemd may be asked to."""
        ...

    async def serve_paused(self, chosen: Chosen) -> Relayed:
        """While the agent is paused: of the choice it is told only if Docker has it and it was told nothing yet."""
        ...

    async def serve_offline(self, *, is_paused: bool, may_start: bool) -> Relayed:
        """Where there is nothing to choose: Docker may still have it, for what it reaches without an upstream."""
        ...

    async def tell_at_once(self, network: Network, refused: Verdicts, *, is_paused: bool) -> Relayed:
        """If Docker has its address and it has no upstream yet: tell it what can go without one; while the agent is
        paused, the upstreams that it had. Nothing is probed. `refused`: upstreams that refused their password.
        """
        ...

    async def withhold_passwords(self, network: Network, refused: Verdicts, *, is_offline: bool = False) -> Relayed:
        """What it was told stands, but for the passwords of what this network does not use, and those refused.

        `is_offline`: there is no network. In the next one it has those back that are used there.
        """
        ...

    async def give_back_passwords(self, network: Network, refused: Verdicts) -> Relayed:
        """What it was told stands, with the policy's passwords for what it was told without and this network uses."""
        ...

    async def tell_of_bridges(self) -> Relayed:
        """Tell it which of Docker's networks are internal; everything else that it was told stays."""
        ...

    async def tell_who_waits(self) -> bool:
        """The same, at any moment beside a pass; whether somebody still waits for word of a network."""
        ...

    async def leads_out(self, port: int, chosen: Chosen, snapshot: Snapshot) -> Verdict | None:
        """What is answered through it at this port by the orders that it has; None: there are none, or nobody may ask
        here.
        """
        ...

    def take_news(self) -> Sequence[Facts]:
        """What there is to record of it, each once."""
        ...

    def once_more(self, network: str) -> Sequence[Facts]:
        """What the records say of it now, for a log that has lost them. `network`: where this host is."""
        ...

    def take_failure(self) -> bool:
        """Whether it reports that an upstream could not be opened; each failure once."""
        ...

    def state(self) -> RelayState | None:
        """What it says of itself now; None: it does not run, or that does not count."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where it says that; None: there is none to be heard."""
        ...

    @property
    def next_at(self) -> float | None:
        """When it is to be probed, whatever else happens."""
        ...


class Pacs(Protocol):
    """Asks the policy's PACs what they stand for."""

    def known(self, policy: Policy) -> Policy:
        """The policy with the upstreams that they have named, here or elsewhere, as far as that is known."""
        ...

    def known_here(self, policy: Policy, network: Network, snapshot: Snapshot, *, pinned: str | None) -> Policy:
        """The same, and the network uses what they have named in this place, as far as that is known. None is asked."""
        ...

    async def unfold(
        self, policy: Policy, network: Network, snapshot: Snapshot, *, pinned: str | None, waits: bool = False
    ) -> Policy:
        """The same, and the network uses what they name here. They are asked when it is due, and where a `match` holds.

        If the answer takes long and a later pass can have it, this one does not wait for it. `waits`: but for the first
        one, for there is no reason to hurry: the network has not changed.
        """
        ...

    def seen(self) -> tuple[PacSeen, ...]:
        """What each said in the network that was unfolded last."""
        ...

    def ask_anew(self, *, is_awaited: bool = False) -> None:
        """A person asked: the next time all of them are.

        `is_awaited`: that pass waits for the answers, as long as they may take.
        """
        ...

    def keep(self) -> None:
        """Write down what is new, for a later process, and for when a server is down. The same again costs nothing."""
        ...

    def rest(self) -> None:
        """There is no network: nothing is due."""
        ...

    @property
    def next_at(self) -> float | None:
        """When one of them is to be asked, whatever else happens."""
        ...


class Choosing(Protocol):
    """Probes the upstreams of a network, chooses one, and knows what holds a restart back."""

    @property
    def asked(self) -> Asked:
        """Who wants this pass."""
        ...

    @property
    def is_starting(self) -> bool:
        """Whether it is too early to restart Docker, which may be waiting for us."""
        ...

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be written or restarted: a person has said so, or unfinished work comes first."""
        ...

    @property
    def is_pause_laid_down(self) -> bool:
        """Whether a person has said so. Unfinished work is Docker's: the relay follows meanwhile."""
        ...

    def is_patient(self, snapshot: Snapshot) -> bool:
        """Whether this is a network to arrive in, or the host arrived there a moment ago."""
        ...

    def know(self, policy: Policy) -> None:
        """Take what the policy's PACs say here: the upstreams that `choose` may choose from."""
        ...

    @property
    def pinned(self) -> str | None:
        """The upstream that a person has pinned."""
        ...

    async def choose(self, network: Network, snapshot: Snapshot, in_docker: str | None) -> tuple[Verdicts, Choice]:
        """`in_docker`: the upstream that Docker's settings mean, if it is one of the policy's."""
        ...

    @property
    def next_choice_s(self) -> float | None:
        """In how many seconds the next choice may be another one, if nothing else happens; None: not by itself."""
        ...

    def holding(self, reality: Reality) -> Holding:
        """What holds a restart of this dockerd back."""
        ...

    async def works(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        """Whether an upstream works here, whether or not `use` lists it."""
        ...

    async def works_now(self, upstream: Upstream, snapshot: Snapshot) -> Verdict:
        """The same, asked at this moment."""
        ...

    def refused(self, snapshot: Snapshot) -> Verdicts:
        """On those whose password was refused before, asked or not."""
        ...


class Maker(Protocol):
    """Who makes a pass: the service, or a command on its own."""

    @property
    def is_hasty(self) -> bool:
        """Whether a restart of Docker goes first and clients are looked at after it: no home may delay it."""
        ...

    async def interrupted(self) -> Reason:
        """Returns when something happens that a pass should not ignore while it only looks."""
        ...

    def has_news(self, seen: Seen) -> bool:
        """Whether network or choice differ from what was last recorded."""
        ...

    def tell(self, seen: Seen, record: Record) -> None:
        """Record what is new of network and choice, each change once."""
        ...

    def judge(self, seen: AnySeen, record: Record) -> AnySeen:
        """What remains to be done, without the fights that were given up."""
        ...

    def begin(self, seen: Seen, record: Record) -> None:
        """Called just before it is carried out."""
        ...


class World(Protocol):
    """Those of this host."""

    @property
    def host(self) -> Host: ...
    @property
    def prober(self) -> Prober: ...
    @property
    def daemon(self) -> Daemon: ...
    @property
    def clients(self) -> Clients: ...
    @property
    def relay(self) -> Relays: ...
    @property
    def pacs(self) -> Pacs: ...

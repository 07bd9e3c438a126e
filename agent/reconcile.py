"""One pass: see → recognise → probe → choose → plan → apply → record.

`look` goes as far as the plan and changes nothing; `reconcile` carries it out. What is comes from reality every
time, never from a memory of what was done last. Not known here: what woke the pass, and how it is shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from agent.apply import Outcome, to_the_end
from agent.clients import ClientFile, ClientsSeen
from agent.condition import Code, Condition
from agent.decide.choose import PATIENCE_S, SOFT_AGAIN_S, Choice, Ending, choose
from agent.decide.desired import for_dockerd
from agent.decide.plan import Owned, Plan, plan
from agent.decide.recognise import Recognised, recognise
from agent.dockerd import Reality
from agent.events import Event
from agent.files import Changed
from agent.policy import Network, Policy, Upstream
from agent.record import Record
from agent.settings import Settings
from agent.snapshot import Snapshot
from agent.verdict import Verdict

_TRIES: Final = 3  # a file that somebody else writes at the very moment is read again

Verdicts = Mapping[str, Verdict]


class Host(Protocol):
    """Looks at the host's network."""

    async def see(self) -> Snapshot: ...


class Prober(Protocol):
    """Tests upstreams side by side, and stops as soon as what it knows is enough."""

    async def verdicts(self, upstreams: Sequence[Upstream], is_enough: Callable[[Verdicts], bool]) -> Verdicts: ...


class Daemon(Protocol):
    """dockerd: looked at, and changed."""

    async def reality(self, desired: Settings) -> Reality: ...
    def owned(self, reality: Reality) -> Owned: ...
    def carry_out(self, plan: Plan, reality: Reality, record: Record) -> Coroutine[Any, Any, Outcome]: ...


class Clients(Protocol):
    """The clients' files: looked at, and changed. What fails for one is said, and stops nobody else."""

    async def look(self, upstream: Upstream) -> ClientsSeen: ...
    def carry_out(self, seen: ClientsSeen, record: Record) -> Coroutine[Any, Any, Sequence[ClientFile]]: ...


class Choosing(Protocol):
    """Probes the upstreams of a network and chooses one; and knows whether a restart must wait its turn."""

    async def chosen(self, network: Network, snapshot: Snapshot) -> tuple[Verdicts, Choice]: ...
    def restart_waits(self) -> str:
        """Why a restart has to wait for now; '' if it has not."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """What a pass found out and would do. Without a choice the host is offline; without a plan nothing is chosen."""

    snapshot: Snapshot
    recognised: Recognised | None = None
    verdicts: Verdicts = msgspec.field(default_factory=dict)
    choice: Choice | None = None
    reality: Reality | None = None
    plan: Plan | None = None
    clients: ClientsSeen | None = None

    @property
    def acts(self) -> bool:
        """Whether carrying it out would change something."""
        return self.daemon_acts or bool(self.clients and self.clients.edits)

    @property
    def daemon_acts(self) -> bool:
        return self.plan is not None and self.plan.acts

    @property
    def is_offline(self) -> bool:
        return self.recognised is None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What a person should know of this pass before anything is carried out."""
        found = (
            _of_choice(self.choice) if self.choice else None,
            self.plan.condition if self.plan else None,
            self.clients.condition if self.clients else None,
        )
        return tuple(condition for condition in found if condition is not None)


class Pass(msgspec.Struct, frozen=True):
    """A pass that was carried out."""

    seen: Seen
    outcome: Outcome | None = None  # None: nothing was to be done for the daemon
    clients: tuple[ClientFile, ...] = ()  # those that were to be written


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


async def look(policy: Policy, world: World, is_asked_now: bool = False, choosing: Choosing | None = None) -> Seen:
    """See, probe, choose and plan; nothing is changed."""
    snapshot = await world.host.see()
    if snapshot.is_offline:
        return Seen(snapshot)
    recognised = recognise(policy.networks, snapshot)
    choosing = choosing or WithoutHistory(policy, world.prober)
    verdicts, choice = await choosing.chosen(recognised.network, snapshot)
    if choice.upstream is None:
        return Seen(snapshot, recognised, verdicts, choice)
    upstream = policy.upstreams[choice.upstream]
    desired = for_dockerd(upstream, policy.no_proxy)
    reality, clients = await asyncio.gather(world.daemon.reality(desired), world.clients.look(upstream))
    planned = plan(
        desired,
        reality,
        policy.docker,
        world.daemon.owned(reality),
        is_asked_now,
        restart_waits=choosing.restart_waits(),
    )
    return Seen(snapshot, recognised, verdicts, choice, reality, planned, clients)


async def reconcile(  # noqa: PLR0913 - named at every call
    policy: Policy,
    world: World,
    record: Record,
    *,
    is_asked_now: bool = False,
    choosing: Choosing | None = None,
    stops_within_s: float | None = None,
) -> Pass:
    """One whole pass. A pass that finds nothing to do records nothing.

    `stops_within_s`: how long what is being written and restarted may still take after we were told to stop.
    """
    for tries_left in reversed(range(_TRIES)):
        seen = await look(policy, world, is_asked_now, choosing)
        if not seen.acts:
            return Pass(seen)
        _record_choice(seen, record)
        record(Event.APPLY_STARTED, **_intent(seen))
        for file in seen.clients.failed if seen.clients else ():
            record(Event.TARGET_FAILED, target=file.path, error=file.error)
        written = (
            tuple(await to_the_end(world.clients.carry_out(seen.clients, record), stops_within_s))
            if seen.clients and seen.clients.edits
            else ()
        )
        if seen.plan is None or seen.reality is None or not seen.plan.acts:
            return Pass(seen, clients=written)
        try:
            return Pass(
                seen, await to_the_end(world.daemon.carry_out(seen.plan, seen.reality, record), stops_within_s), written
            )
        except Changed:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


class WithoutHistory:
    """How a command chooses: it has no memory, so it is as after a network change, and soft verdicts get patience."""

    def __init__(self, policy: Policy, prober: Prober) -> None:
        self._policy = policy
        self._prober = prober

    async def chosen(self, network: Network, snapshot: Snapshot) -> tuple[Verdicts, Choice]:  # noqa: ARG002 - no memory
        until = time.monotonic() + PATIENCE_S
        verdicts: dict[str, Verdict] = {}

        def is_enough(new: Verdicts) -> bool:
            # While patience lasts, a soft verdict of a preferred one is no reason to stop asking it.
            return _is_chosen(choose(network, {**verdicts, **new}, until - time.monotonic()))

        for pause in (*SOFT_AGAIN_S, 0.0):
            names = [name for name in network.use if name not in verdicts or verdicts[name].is_soft]
            verdicts.update(await self._prober.verdicts([self._policy.upstreams[name] for name in names], is_enough))
            patience_s = until - time.monotonic()
            if choose(network, verdicts, patience_s).ending is not Ending.WAITING:
                break
            await asyncio.sleep(min(pause, max(patience_s, 0.0)))
        return verdicts, choose(network, verdicts, 0.0)

    def restart_waits(self) -> str:
        return ""


def _is_chosen(choice: Choice) -> bool:
    return choice.ending is Ending.CHOSEN


def _of_choice(choice: Choice) -> Condition | None:
    if choice.ending is Ending.PORTAL:
        return Condition(Code.PORTAL, choice.because)
    if choice.ending is Ending.UNREACHABLE:
        return Condition(Code.UNREACHABLE, choice.because, "See: docker-proxy-agent probe")
    return None


def _intent(seen: Seen) -> dict[str, object]:
    """What is about to be done, as the audit log keeps it: on disk before the first write."""
    plan, clients = seen.plan, seen.clients
    daemon_targets = tuple(edit.path for edit in plan.edits) if plan else ()
    client_targets = tuple(file.path for file in clients.edits) if clients else ()
    return {
        "desired": plan and plan.desired,
        "effective": plan and plan.effective,
        "prospective": plan and plan.prospective,
        "method": plan and plan.method,
        "clients": clients.wanted.settings if client_targets and clients else None,
        "targets": (*daemon_targets, *client_targets),
        "restart": plan and plan.restart and f"{plan.restart.when.value}: {plan.restart.because}",
    }


def _record_choice(seen: Seen, record: Record) -> None:
    assert seen.recognised is not None  # noqa: S101 - there is a plan
    assert seen.choice is not None  # noqa: S101
    network = seen.recognised.network.name
    record(
        Event.NETWORK_CHANGED,
        network=network,
        fingerprint=seen.snapshot.fingerprint(),
        because=seen.recognised.because,
    )
    record(
        Event.UPSTREAM_CHOSEN,
        network=network,
        upstream=seen.choice.upstream,
        because=seen.choice.because,
        verdicts=seen.verdicts,
    )

"""One pass: see → recognise → probe → choose → plan → apply → record.

`look` goes as far as the plan and changes nothing; `reconcile` carries it out. What *is* comes from reality every
time, never from memory. Not known here: what woke the pass, and how it is shown.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.plan import Plan
from agent.docker.transaction import Applied
from agent.one_pass.at_rest import look_at_rest
from agent.one_pass.clients_now import CLIENTS, look_at_clients
from agent.one_pass.following import follow
from agent.one_pass.places import Places
from agent.one_pass.ports import Choosing, Daemon, Maker, Pacs, World
from agent.one_pass.records import intent, network_changed, no_upstream, upstream_chosen
from agent.one_pass.seen import AnySeen, Offline, Pass, Planned, Seen
from agent.one_pass.weighing import or_put_off
from agent.system.alongside import alongside
from agent.system.files import Changed
from agent.system.text_files import TRIES
from agent.system.to_the_end import to_the_end
from agent.values.dockerd import GOES_DOWN
from agent.values.errors import AgentError
from agent.values.events import Facts, PlaceSeen, TargetNotWritten
from agent.values.policy import Policy
from agent.values.reason import Reason


async def reconcile(  # noqa: PLR0913 - named at every call
    policy: Policy,
    world: World,
    record: Record,
    *,
    choosing: Choosing,
    maker: Maker,
    stops_within_s: float | None = None,
) -> Pass:
    """One whole pass. It records nothing if there is nothing to do and nothing new.

    `stops_within_s`: how long writing and restarting may go on after we were told to stop.
    Raises Interrupted if another pass is requested before anything was written.
    """
    async with world.clients.one_pass():
        for tries_left in reversed(range(TRIES)):
            seen = await look_at_rest(policy, world, choosing, maker)
            seen = await _note(seen, world.daemon, world.pacs, choosing)
            maker.tell(seen, record)
            for facts in world.relay.take_news():
                record(facts)
            if choosing.is_paused or not seen.acts:
                return Pass(seen)
            if await world.daemon.goes_down():
                return Pass(seen, Applied(deferred=GOES_DOWN, goes_down=True))
            seen = maker.judge(seen, record)
            if not seen.acts:
                return Pass(seen)
            maker.begin(seen, record)
            try:
                async with alongside(follow(policy, world, choosing, seen.snapshot)):
                    return await _carry_out(seen, world, record, maker=maker, stops_within_s=stops_within_s)
            except Changed:
                if not tries_left:
                    raise
    raise AssertionError("unreachable")


async def _carry_out(seen: Seen, world: World, record: Record, *, maker: Maker, stops_within_s: float | None) -> Pass:
    _record_beginning(seen, record)
    outcome, failure = None, None
    if isinstance(seen, Planned) and seen.plan.acts:
        try:
            outcome = await to_the_end(world.daemon.carry_out(seen.plan, seen.reality, record), stops_within_s)
        except Exception as error:  # noqa: BLE001 - raised below: what fails for Docker costs the clients nothing
            failure = error
    # After Docker's half: a home may be slow, and no container starts while Docker restarts. If Docker did not come up
    # with this choice, the next pass makes another one for both.
    written: tuple[ClientFile, ...] = ()
    are_left = outcome is not None and (outcome.rolled_back or outcome.goes_down)
    if isinstance(seen, Planned) and seen.clients is None and not (outcome is not None and outcome.goes_down):
        clients = await look_at_clients(seen.upstream, world, seen.relayed)
        seen = msgspec.structs.replace(seen, clients=clients)
        if not are_left:
            seen = _judge_clients(seen, record, maker)
    if seen.clients is not None and not are_left:
        written = await _write_clients(seen.clients, world, record, stops_within_s)
    if failure is not None:
        raise failure
    return Pass(seen, outcome, written)


async def _note(seen: Seen, daemon: Daemon, pacs: Pacs, choosing: Choosing) -> Seen:
    """Note what Docker runs with, and what PACs said.

    If that starts Docker's minute of probation, this pass writes nothing over it.
    """
    await asyncio.to_thread(daemon.note, seen.reality)
    with contextlib.suppress(AgentError):  # a full disk: what is known here is not lost by that
        await asyncio.to_thread(pacs.keep)
    if not isinstance(seen, Planned):
        return seen
    return msgspec.structs.replace(seen, plan=await or_put_off(seen.plan, seen.reality, daemon, choosing))


def _record_beginning(seen: Seen, record: Record) -> None:
    if seen.daemon_acts or (seen.clients and seen.clients.edits):
        record(intent(seen))
    for file in seen.clients.failed if seen.clients else ():
        record(TargetNotWritten(targets=(file.path,), error=file.error))


def _judge_clients(seen: Planned, record: Record, maker: Maker) -> Planned:
    """The clients' half, which Docker's did not wait for, as a pass of its own."""
    done = Plan(seen.plan.desired, seen.plan.method)  # nobody has looked at Docker since
    half = maker.judge(msgspec.structs.replace(seen, plan=done), record)
    _record_beginning(half, record)
    return msgspec.structs.replace(seen, clients=half.clients)


async def _write_clients(
    seen: ClientsSeen, world: World, record: Record, stops_within_s: float | None
) -> tuple[ClientFile, ...]:
    """An error here fails these files only; Docker's half goes on."""
    if not seen.edits:
        return ()
    try:
        return tuple(await to_the_end(world.clients.carry_out(seen, record), stops_within_s))
    except AgentError as error:  # such as a state directory on a full disk
        failure, is_unexpected = error, None
    except Exception as error:  # noqa: BLE001 - the boundary of a target
        failure = is_unexpected = unexpected(CLIENTS, error)
    record(TargetNotWritten(targets=(failure.where,), error=str(failure)))
    return tuple(ClientFile(file.account, error=str(failure), unexpected=is_unexpected) for file in seen.edits)


class Alone:
    """A command without a service. Nobody asks for another pass meanwhile; it records its choice only if it acts."""

    is_hasty = False

    def __init__(self, places: Places | None = None) -> None:
        self._places = places

    async def interrupted(self) -> Reason:
        never: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        return await never

    def has_news(self, _: Seen) -> bool:
        return False

    def tell(self, seen: Seen, record: Record) -> None:
        """Nothing yet: see `begin`."""

    def judge(self, seen: AnySeen, _: Record) -> AnySeen:
        return seen

    def begin(self, seen: Seen, record: Record) -> None:
        if isinstance(seen, Offline):
            return
        here = PlaceSeen() if self._places is None else self._places.seen(seen.snapshot)
        says_where = self._places is not None and self._places.says_where
        record(network_changed(seen.recognised, here))
        if isinstance(seen, Planned):
            facts: Facts = upstream_chosen(
                seen.recognised, seen.choice, seen.verdicts, pacs=seen.pacs, says_where=says_where
            )
        else:
            facts = no_upstream(seen.recognised, seen.choice, seen.verdicts, pacs=seen.pacs, says_where=says_where)
        record(facts)

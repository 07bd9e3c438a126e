"""How a command asks for a pass: of the running agent; where none runs, it makes one itself under the same lock."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import msgspec

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.cli.policy_of import loaded
from agent.cli.printing import complain, page, print_json
from agent.cli.session import quiet, record_for
from agent.one_pass.drawing import Beside, picture_of
from agent.one_pass.memory import Memory, Patiently
from agent.one_pass.overrides import Overrides
from agent.one_pass.reconcile import Alone, is_on_trial, reconcile
from agent.one_pass.screen import line
from agent.one_pass.seen import Pass, Planned
from agent.one_pass.world import TheWorld
from agent.service.control import NobodyListens, ask
from agent.service.requests import Answer, Wish, answer_of, asked_by, obey, without_a_pass
from agent.system.lock import held
from agent.system.to_the_end import to_the_end
from agent.values.errors import AgentError, NoPolicy, PolicyRefused
from agent.values.events import TargetNotWritten
from agent.values.paths import Paths
from agent.values.policy import Duration, Policy
from agent.values.secret import escaped

# The journal keeps what Docker ran with before. Whoever scripts this is not made to wait for a minute.
_UNWATCHED: Final = (
    "no service runs, and nobody watches Docker from here on: if it fails within a minute, the next apply, "
    "or the start of the service, takes the old settings back"
)
_UNWRITTEN: Final = "nothing is written for Docker yet, and no service runs that would: run apply again in a minute"


def ask_and_print(args: argparse.Namespace, paths: Paths, wish: Wish) -> int:
    """Ask, print what comes back, and say how it went."""
    quiet(args.verbose)
    if args.policy is not None:
        wish = msgspec.structs.replace(wish, policy=os.path.abspath(args.policy))  # noqa: PTH100 - links are as named
    try:
        answer = _ask_the_agent(paths, wish)
    except NobodyListens:
        try:
            answer = _act_alone(args, paths, wish)
        except asyncio.CancelledError:
            answer = Answer(130, ("stopped; nothing is left half done",))
    is_refused = answer.facts is None and bool(answer.exit)
    if is_refused:
        complain(*answer.lines)
    if args.json:
        print_json(answer.facts if answer.facts is not None else {"problems" if is_refused else "said": answer.lines})
    elif not is_refused:
        page(*answer.lines)
    return answer.exit


def caller() -> str:
    """Who asks, for the audit log: sudo says who became root."""
    return escaped(os.environ.get("SUDO_USER", ""), 64)


def lasting(text: str) -> float:
    """Seconds, from the policy's way to write a duration."""
    try:
        seconds = float(Duration.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" {error}') from error
    if not seconds:
        raise argparse.ArgumentTypeError(f'"{text}" is over before it begins')
    return seconds


def _ask_the_agent(paths: Paths, wish: Wish) -> Answer:
    for said in ask(paths.control, wish):
        if isinstance(said, Answer):
            return said
        complain(said)
    raise AssertionError("unreachable")


def _act_alone(args: argparse.Namespace, paths: Paths, wish: Wish) -> Answer:
    try:
        policy = loaded(args, paths, refuses_unsafe=True).policy
    except (NoPolicy, PolicyRefused) as refused:
        if not wish.needs_no_policy:
            raise
        return _obey_without_a_policy(paths, wish, refused)
    record = record_for(wish.command.value, paths, policy)
    with held(paths.lock):
        memory = Memory(paths.state)
        world = TheWorld(paths, policy)
        memory.use(policy, world.prober)
        for facts in memory.overrides.end_what_is_over(policy.upstreams):
            record(facts)
        said = obey(wish, memory.overrides, policy, record)
        if isinstance(said, Answer):
            return said
        if wish.forgives:
            memory.forgive()
        memory.asked = asked_by([wish])
        done = _make_a_pass(policy, world, memory, record)
        is_unwatched = is_on_trial(world.daemon)
    if record.problem:
        complain(f"audit log: {record.problem}")
    answer = answer_of(said, done, picture_of(done, Beside(conditions=memory.conditions)))
    notes = (line("note", text) for text in unattended(done, is_on_trial=is_unwatched))
    return msgspec.structs.replace(answer, lines=(*answer.lines, *notes))


def unattended(done: Pass, *, is_on_trial: bool) -> Iterator[str]:
    """What a service would see to after this pass, and nobody does."""
    if isinstance(done.seen, Planned) and done.seen.plan.put_off:
        yield _UNWRITTEN
    if is_on_trial:
        yield _UNWATCHED


def _obey_without_a_policy(paths: Paths, wish: Wish, refused: NoPolicy | PolicyRefused) -> Answer:
    """What a person lays down is laid down; there is no pass that could follow."""
    record = record_for(wish.command.value, paths, Policy())
    with held(paths.lock):
        said = obey(wish, Overrides(paths.state), None, record)
    if record.problem:
        complain(f"audit log: {record.problem}")
    return said if isinstance(said, Answer) else without_a_pass(said, refused)


def _make_a_pass(policy: Policy, world: TheWorld, memory: Memory, record: Record) -> Pass:
    try:
        work = _recover_and_reconcile(policy, world, memory, record)
        return asyncio.run(_stop_in_good_order(work))
    except AgentError as error:
        record(TargetNotWritten(target=error.where, error=str(error)))
        raise


async def _recover_and_reconcile(policy: Policy, world: TheWorld, memory: Memory, record: Record) -> Pass:
    await to_the_end(world.daemon.recover(record, may_restart=True), None)
    await world.clients.recover()
    if world.daemon.under_way().forbids_writing:
        service = policy.docker.service
        raise AgentError(
            service, "does not start with what it started with before, either", f"See: journalctl -u {service}"
        )
    try:
        return await reconcile(policy, world, record, choosing=Patiently(memory), maker=Alone())
    except AgentError:
        raise
    except Exception as error:
        failure = unexpected("the pass", error)
        # What it left half done is finished as after a crash: no service may come that would.
        await to_the_end(world.daemon.recover(record, may_restart=True), None)
        raise failure from error


async def _stop_in_good_order(work: Coroutine[Any, Any, Pass]) -> Pass:
    """SIGTERM and a terminal that is closed are answered as ctrl-C is: when nothing is half done."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task

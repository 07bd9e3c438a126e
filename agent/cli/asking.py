"""How a command asks for a pass: of the running agent; where none runs, it makes one itself under the same lock."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.audit.record import Record
from agent.cli.policy_of import loaded
from agent.cli.printing import complain, page, print_json
from agent.cli.session import myself, quiet, record_for
from agent.docker.which import serving_by
from agent.one_pass.drawing import Beside, picture_of
from agent.one_pass.memory import Memory
from agent.one_pass.overrides import Overrides
from agent.one_pass.patiently import Patiently
from agent.one_pass.places import Places
from agent.one_pass.reconcile import Alone
from agent.one_pass.screen import line
from agent.one_pass.seen import Pass, Planned
from agent.one_pass.world import TheWorld
from agent.service.answers import failed
from agent.service.control import NobodyListens, ask
from agent.service.failures import Failures, ServicePart
from agent.service.passes import Passes
from agent.service.policy_in_use import InUse
from agent.service.requests import Answer, Request, Wish, answer_of, obey, without_a_pass
from agent.service.unfinished import Unfinished
from agent.system.clock import now_text
from agent.system.lock import held
from agent.values.errors import AgentError, NoPolicy, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy

# Watching for that minute would make every script wait. The journal keeps the old settings.
_UNWATCHED: Final = (
    "no service is running to watch Docker: if Docker fails within a minute, the next apply, "
    "or the start of the service, restores the old settings"
)
_UNWRITTEN: Final = (
    "nothing is written for Docker yet, and no service is running to do it later: run apply again in a minute"
)


def ask_and_print(args: argparse.Namespace, paths: Paths, wish: Wish) -> int:
    """Ask, print the answer, and return the exit status."""
    quiet(args.verbose)
    if args.policy is not None:
        wish = msgspec.structs.replace(wish, policy=os.path.abspath(args.policy))  # noqa: PTH100 - it must not resolve links
    try:
        answer = _ask_the_agent(paths, wish)
    except NobodyListens:
        try:
            answer = _act_alone(args, paths, wish)
        except asyncio.CancelledError:
            answer = Answer(130, ("stopped; nothing is left half done",))
    _print(answer, is_json=args.json)
    return answer.exit


def _print(answer: Answer, *, is_json: bool) -> None:
    """What is wrong goes to stderr, and with JSON to stdout, too."""
    is_refused = answer.facts is None and bool(answer.exit)
    told = answer.obeyed if is_refused else len(answer.lines)
    said, problems = answer.lines[:told], answer.lines[told:]
    if problems:
        complain(*problems)
    if not is_json:
        page(*said)
        return
    facts = {**({"said": said} if said or not problems else {}), **({"problems": problems} if problems else {})}
    print_json(answer.facts if answer.facts is not None else facts)


def _ask_the_agent(paths: Paths, wish: Wish) -> Answer:
    for said in ask(paths.control, wish):
        if isinstance(said, Answer):
            return said
        complain(said)
    raise AssertionError("unreachable")


def _act_alone(args: argparse.Namespace, paths: Paths, wish: Wish) -> Answer:
    """Do what the service would, except for what follows a pass."""
    try:
        found = loaded(args, paths, refuses_unsafe=True)
    except (NoPolicy, PolicyRefused) as refused:
        if not wish.needs_no_policy:
            raise
        return _act_without_a_policy(paths, wish, refused)
    record = record_for(wish.command.value, paths, found.policy)
    with held(paths.lock):
        memory = Memory(paths.state)
        here = serving_by(paths, found.policy.docker)
        in_use = InUse(found, now_text(), TheWorld(here, found.policy), here.layout.service)
        memory.use(found.policy, in_use.world.prober)
        answer = asyncio.run(_stop_in_good_order(make_a_pass(wish, in_use, memory, record)))
    if record.problem and answer.facts is not None:  # else the failure is the one line that matters
        complain(f"audit log: {record.problem}")
    return answer


async def make_a_pass(wish: Wish, in_use: InUse, memory: Memory, record: Record) -> Answer:
    """No other pass follows: the first failure ends it."""
    request = Request(wish, complain, myself())
    failures = Failures(Path(in_use.loaded.path), record)
    unfinished = Unfinished(failures, record)
    passes = Passes(memory, failures, unfinished)
    passes.lay_down([request], in_use.policy, record)
    if request.answer.done():
        return request.answer.result()
    await unfinished.recover(in_use.world, may_restart=True)
    if failures.lines:
        return failed(request, failures.lines)
    await passes.finish(in_use.world)
    if unfinished.forbids_writing and not failures.lines:  # else it is not known what is under way
        failures.note(ServicePart.UNDER_WAY, _still_down(in_use.service))
    if unfinished.forbids_writing:
        return failed(request, failures.lines)
    places = Places(memory.state)
    places.kept = in_use.policy.audit.places
    try:
        done = await passes.make(in_use, record, choosing=Patiently(memory), maker=Alone(places))
    except Exception as error:  # noqa: BLE001 - the boundary of a pass
        failures.note(ServicePart.WHOLE, error)
        if not isinstance(error, AgentError):
            # Finish what it left half done, as after a crash: there may be no service to do it.
            await unfinished.recover(in_use.world, may_restart=True)
        return failed(request, failures.lines)
    answer = answer_of(request.said, done, picture_of(done, Beside(conditions=memory.conditions)))
    notes = (line("note", text) for text in unattended(done, is_on_trial=unfinished.trial is not None))
    return msgspec.structs.replace(answer, lines=(*answer.lines, *notes))


def _still_down(service: str) -> AgentError:
    return AgentError(service, "does not start with its old settings either", f"See: journalctl -u {service}")


def unattended(done: Pass, *, is_on_trial: bool) -> Iterator[str]:
    """What a running service would do after this pass, and a command does not."""
    if isinstance(done.seen, Planned) and done.seen.plan.put_off:
        yield _UNWRITTEN
    if is_on_trial:
        yield _UNWATCHED


def _act_without_a_policy(paths: Paths, wish: Wish, refused: NoPolicy | PolicyRefused) -> Answer:
    """Record the pin or the pause. Without a policy no pass follows."""
    record = record_for(wish.command.value, paths, Policy())
    with held(paths.lock):
        said = obey(wish, Overrides(paths.state), None, record)
    if record.problem:
        complain(f"audit log: {record.problem}")
    return said if isinstance(said, Answer) else without_a_pass(said, refused)


async def _stop_in_good_order(work: Coroutine[Any, Any, Answer]) -> Answer:
    """On ctrl-C, SIGTERM or a closed terminal, stop only when nothing is half done."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task

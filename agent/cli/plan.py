"""`plan`: what a pass would do and why, as a diff. Changes nothing.

Exits 0 if there is nothing to do, 2 if there are changes, 1 if something prevents them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

import msgspec

from agent.cli.known_relay import is_relay_seen_to_work
from agent.cli.policy_of import loaded
from agent.cli.printing import page, print_json
from agent.cli.session import quiet
from agent.decide.recognise import why_not
from agent.decide.restart import When
from agent.one_pass.drawing import Beside, picture_of
from agent.one_pass.look import look
from agent.one_pass.no_relay import AsIfItWorked
from agent.one_pass.page import help_lines, seen_lines, to_do_lines
from agent.one_pass.patiently import only_looking
from agent.one_pass.picture import Picture, State
from agent.one_pass.screen import line
from agent.one_pass.seen import Offline, Pass, Planned, Seen
from agent.one_pass.world import TheWorld
from agent.service.status_file import Status, read_running
from agent.values.condition import Condition
from agent.values.paths import Paths

CHANGES = 2


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded(args, paths, refuses_unsafe=False).policy
    world = TheWorld(paths, policy)
    shown = read_running(paths.status)
    world.relay = AsIfItWorked(world.relay, is_seen=is_relay_seen_to_work(policy, shown))
    choosing = only_looking(policy, world.prober, paths.state)
    seen = asyncio.run(look(policy, world, choosing))
    picture = drawn(seen, choosing.conditions, waits(seen, shown))
    if args.json:
        print_json(msgspec.to_builtins(picture))
    else:
        page(*seen_lines(picture))
        if args.verbose and not isinstance(seen, Offline):
            for reason in filter(None, (why_not(network, seen.snapshot) for network in policy.networks)):
                page(line("not here", reason))
        page(*to_do_lines(picture), *help_lines(picture))
    return exit_status(seen)


def waits(seen: Seen, shown: Status | None) -> str:
    """Why the running agent holds back a restart that could be made now; only it knows when the last one was."""
    if not isinstance(seen, Planned) or seen.plan.restart is None or seen.plan.restart.when is not When.NOW:
        return ""
    return shown.docker.deferred or "" if shown is not None and shown.docker is not None else ""


def drawn(seen: Seen, conditions: Sequence[Condition], waits: str) -> Picture:
    """What a pass would do, as if it had just begun."""
    picture = picture_of(Pass(seen), Beside(conditions=tuple(conditions)))
    if picture.docker is not None and waits:
        return msgspec.structs.replace(picture, docker=msgspec.structs.replace(picture.docker, deferred=waits))
    is_at_work = seen.acts and picture.state in (State.STEADY, State.DEFERRED)
    return msgspec.structs.replace(picture, state=State.WORKING) if is_at_work else picture


def exit_status(seen: Seen) -> int:
    """The exit status."""
    if any(condition.code.is_failure for condition in seen.conditions):
        return 1
    return CHANGES if seen.acts or (isinstance(seen, Planned) and seen.plan.changes) else 0

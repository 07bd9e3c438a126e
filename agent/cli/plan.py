"""`plan`: what a pass would do and why, as a diff. Changes nothing; exits 0 for nothing to do, 2 for
changes, 1 if something stands in the way."""

from __future__ import annotations

import argparse
import asyncio
import os

from agent.cli.policy_of import loaded
from agent.cli.printing import page, print_json
from agent.cli.session import quiet
from agent.decide.recognise import why_not
from agent.decide.restart import When
from agent.one_pass.memory import only_looking
from agent.one_pass.page import seen_json, seen_lines, to_do_lines
from agent.one_pass.reconcile import look
from agent.one_pass.screen import line
from agent.one_pass.seen import Offline, Planned, Seen
from agent.one_pass.world import TheWorld
from agent.service.status_file import Shown, read
from agent.values.errors import AgentError
from agent.values.paths import Paths

CHANGES = 2


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    if paths.is_system and os.geteuid() != 0:  # it would see half of what a pass sees, and plan something else
        raise AgentError("plan", "only root can look at all that a pass looks at; run it as root")
    policy = loaded(args, paths, refuses_unsafe=False).policy
    world = TheWorld(paths, policy)
    choosing = only_looking(policy, world.prober, paths.state)
    seen = asyncio.run(look(policy, world, choosing))
    also = choosing.conditions
    if args.json:
        print_json({**seen_json(seen, also), "waits": waits(seen, read(paths.status)) or None})
    else:
        page(*seen_lines(seen, also=also))
        if args.verbose and not isinstance(seen, Offline):
            for reason in filter(None, (why_not(network, seen.snapshot) for network in policy.networks)):
                page(line("not here", reason))
        for to_do in to_do_lines(seen):
            page(to_do)
        if text := waits(seen, read(paths.status)):
            page(line("waits", text))
    return exit_status(seen)


def waits(seen: Seen, shown: Shown | None) -> str:
    """Why the agent that runs holds back a restart that is due at once: it alone knows of its turns."""
    if not isinstance(seen, Planned) or seen.plan.restart is None or seen.plan.restart.when is not When.NOW:
        return ""
    if shown is None or not shown.is_running or not isinstance(shown.status.docker, dict):
        return ""
    return str(shown.status.docker.get("deferred") or "")


def exit_status(seen: Seen) -> int:
    """What the command ends with."""
    if any(condition.code.is_failure for condition in seen.conditions):
        return 1
    return CHANGES if seen.acts or (isinstance(seen, Planned) and seen.plan.changes) else 0

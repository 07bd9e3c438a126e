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
from agent.errors import AgentError
from agent.memory import only_looking
from agent.page import seen_json, seen_lines, to_do_lines
from agent.paths import Paths
from agent.reconcile import Seen, look
from agent.screen import line
from agent.world import TheWorld

CHANGES = 2


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    if paths.is_system and os.geteuid() != 0:  # it would see half of what a pass sees, and plan something else
        raise AgentError("plan", "only root can look at all that a pass looks at; run it as root")
    policy = loaded(args, paths, refuses_unsafe=False).policy
    world = TheWorld(paths, policy)
    seen = asyncio.run(look(policy, world, only_looking(policy, world.prober, paths.state)))
    if args.json:
        print_json(seen_json(seen))
    else:
        page(*seen_lines(seen))
        if args.verbose and not seen.is_offline:
            for reason in filter(None, (why_not(network, seen.snapshot) for network in policy.networks)):
                page(line("not here", reason))
        for to_do in to_do_lines(seen):
            page(to_do)
    if any(condition.code.is_failure for condition in seen.conditions):
        return 1
    return CHANGES if _changes(seen) else 0


def _changes(seen: Seen) -> bool:
    return seen.acts or (seen.plan is not None and seen.plan.changes)

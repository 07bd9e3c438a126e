"""`doctor`: what stands in the way of a pull, and the command that helps. Changes nothing, and wakes no stopped Docker.

Exits 1 if something is broken now, else 0.
"""

from __future__ import annotations

import argparse
import asyncio
import os

import msgspec

from agent.cli.doctor.facts import judged
from agent.cli.doctor.finding import finding_lines, shown
from agent.cli.doctor.look import looked
from agent.cli.policy_of import loaded
from agent.cli.printing import page, print_json
from agent.cli.session import quiet
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, NoPolicy, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    if paths.is_the_systems and os.geteuid() != 0:
        raise AgentError(
            "doctor", "needs root, to look at all that a pass reads", "Try: sudo docker-proxy-agent doctor"
        )
    policy, refused = _policy(args, paths)
    facts = asyncio.run(looked(paths, policy, refused))
    found = shown(judged(facts), facts.unseen)
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        page(*finding_lines(found))
    return 1 if found.broken else 0


def _policy(args: argparse.Namespace, paths: Paths) -> tuple[Policy | None, tuple[Condition, ...]]:
    """Without a valid policy all else is looked at nevertheless."""
    try:
        return loaded(args, paths, refuses_unsafe=False).policy, ()
    except NoPolicy as error:
        return None, (Condition(Code.NO_POLICY, error.what, error.remedy, error.where),)
    except PolicyRefused as error:
        return None, tuple(Condition(Code.POLICY_ERROR, problem, "", error.path) for problem in error.problems)

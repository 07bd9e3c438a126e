"""`check`: is the policy valid."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec

from agent.cli.policy_of import loaded
from agent.cli.printing import complain, print_json, say
from agent.service.status_file import PolicyStatus
from agent.system.policy_file import Loaded, load_for_elsewhere
from agent.values.errors import AgentError, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy


def run(args: argparse.Namespace, paths: Paths) -> int:
    try:
        found = _for_elsewhere(args, paths) if args.offline else loaded(args, paths, refuses_unsafe=False)
    except PolicyRefused as error:
        if args.json:
            print_json(_facts(PolicyStatus(error.path, error="; ".join(error.problems)), error.problems, ()))
            return 1
        complain(*(f"{error.path}: {problem}" for problem in error.problems))
        if not args.offline and _is_for_elsewhere(args, paths):
            complain(
                "On a machine that has these, it would be valid. To check a policy for another machine: check --offline"
            )
        return 1
    for line in found.cautions:
        complain(f"{found.path}: warning: {line}")
    if args.json:
        print_json(_facts(PolicyStatus(found.path), (), (*found.warnings, *found.cautions, *found.unsafe)))
    else:
        say(f"{found.path}: valid: {_counted(found.policy)}")
    return 0


def _facts(policy: PolicyStatus, problems: Sequence[str], warnings: Sequence[str]) -> dict[str, object]:
    """`policy` as in status.json; a check loads nothing."""
    return {
        "valid": not problems,
        "policy": msgspec.structs.asdict(policy),
        "problems": problems,
        "warnings": warnings,
    }


def _for_elsewhere(args: argparse.Namespace, paths: Paths) -> Loaded:
    found = load_for_elsewhere(args.policy or paths.policy)
    for line in found.warnings:
        complain(f"{found.path}: warning: {line}")
    return found


def _is_for_elsewhere(args: argparse.Namespace, paths: Paths) -> bool:
    """Whether everything wrong with it is a file or a user that this machine does not have."""
    try:
        load_for_elsewhere(args.policy or paths.policy)
    except AgentError:
        return False
    return True


def _counted(policy: Policy) -> str:
    upstreams, networks = len(policy.upstreams) - 1, len(policy.networks)
    return (
        f"{upstreams} upstream{'' if upstreams == 1 else 's'} and direct, "
        f"{networks} network{'' if networks == 1 else 's'} and elsewhere"
    )

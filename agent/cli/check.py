"""`check`: is the policy valid."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.cli.policy_of import loaded, warn
from agent.cli.printing import complain, page, print_json
from agent.service.policy_shown import parts_shown
from agent.service.status_file import PolicyPart, PolicyStatus, read_running
from agent.service.status_page import still_used
from agent.system.policy_file import Loaded, folder_beside, load_for_elsewhere
from agent.values.errors import AgentError, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy


def run(args: argparse.Namespace, paths: Paths, known_as: str = "") -> int:
    """`known_as`: what its reader calls a policy whose file is there only to be checked."""
    try:
        found = _for_elsewhere(args, paths) if args.offline else loaded(args, paths, refuses_unsafe=False)
    except PolicyRefused as error:
        if args.json:
            print_json(_facts(PolicyStatus(error.path, error="; ".join(error.problems)), error.problems, ()))
            return 1
        complain(*error.lines)
        if used := _still_used(args, paths):
            complain(used)
        if not args.offline and _is_for_elsewhere(args, paths):
            complain(
                "On a machine that has these, it would be valid. "
                "To check a policy for another machine: docker-proxy-agent check --offline"
            )
        return 1
    warn(found.path, found.cautions)
    parts = parts_shown(found)
    if args.json:
        said = (remark.beside(found.path) for remark in (*found.warnings, *found.cautions))
        print_json(_facts(PolicyStatus(found.path, files=parts), (), (*said, *found.unsafe)))
        return 0
    files = [part.file for part in parts]
    where = found.path if found.path in files or not files else str(folder_beside(Path(found.path)))
    page(f"{known_as or where}: valid: {_counted(found.policy)}")
    if files != [found.path] and not known_as:
        page(*(f"{part.file}: {_held(part)}" for part in parts))
    return 0


def _facts(policy: PolicyStatus, problems: Sequence[str], warnings: Sequence[str]) -> dict[str, object]:
    """`policy` as in status.json; a check loads nothing."""
    return {
        "valid": not problems,
        "policy": msgspec.to_builtins(policy),
        "problems": problems,
        "warnings": warnings,
    }


def _for_elsewhere(args: argparse.Namespace, paths: Paths) -> Loaded:
    found = load_for_elsewhere(args.policy or paths.policy)
    warn(found.path, found.warnings)
    return found


def _still_used(args: argparse.Namespace, paths: Paths) -> str:
    """By the running agent, of whose policy this is the file; '' if none runs, or it has none."""
    status = read_running(paths.status) if args.policy in (None, paths.policy) else None
    return still_used(status) if status is not None else ""


def _is_for_elsewhere(args: argparse.Namespace, paths: Paths) -> bool:
    """Whether everything wrong with it is a file or a user that this machine does not have."""
    try:
        load_for_elsewhere(args.policy or paths.policy)
    except AgentError:
        return False
    return True


def _held(part: PolicyPart) -> str:
    """What stands in one file of several."""
    lists = {"upstreams": part.upstreams, "networks": part.networks, "tables": part.tables}
    return " · ".join(f"{kind} {', '.join(names)}" for kind, names in lists.items() if names) or "nothing"


def _counted(policy: Policy) -> str:
    upstreams, networks = len(policy.upstreams) - 1, len(policy.networks)
    # The built-in last one is never reached behind one that fits everywhere.
    elsewhere = "" if any(network.match.is_empty for network in policy.networks) else " and elsewhere"
    return (
        f"{upstreams} upstream{'' if upstreams == 1 else 's'} and direct, "
        f"{networks} network{'' if networks == 1 else 's'}{elsewhere}"
    )

"""The policy that a command uses, and the warnings about it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

import msgspec

from agent.cli.printing import complain
from agent.clients.users import ThisSystem
from agent.one_pass.sockets import LocalSockets
from agent.system.policy_file import Loaded, load, load_safely, owners
from agent.values.errors import AgentError, NoPolicy, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.policy_parts import Origins
from agent.values.remark import Remark


def loaded(args: argparse.Namespace, paths: Paths, *, refuses_unsafe: bool) -> Loaded:
    """Load it, and print warnings on stderr. Raises NoPolicy or PolicyRefused."""
    reading = load_safely if refuses_unsafe else load
    found = reading(args.policy or paths.policy, owners(paths), os.environ, paths)
    found = msgspec.structs.replace(
        found,
        warnings=(
            *found.warnings,
            *_unknown_owners(found.policy, paths, found.origins),
            *_unknown_users(found.policy, paths, found.origins),
        ),
    )
    warn(found.path, (*found.warnings, *map(Remark, found.unsafe)))
    return found


def warn(path: str, remarks: Iterable[Remark]) -> None:
    """Print remarks on the policy at this path on stderr."""
    for remark in remarks:
        complain(f"{remark.at(path)}: warning: {remark.text}")


def _unknown_owners(policy: Policy, paths: Paths, origins: Origins) -> list[Remark]:
    """Only a warning: accounts from the network may not be known yet."""
    sockets = LocalSockets(ThisSystem(paths.root))
    found = []
    for name, upstream in policy.upstreams.items():
        try:
            if upstream.owner and sockets.uid(upstream.owner) is None:
                text = f'there is no user "{upstream.owner}" here, so no listener is accepted'
                found.append(Remark(f"upstream.{name}.owner: {text}", origins.upstreams.get(name, "")))
        except AgentError as unknown:
            text = f'upstream.{name}.owner: cannot look up user "{upstream.owner}": {unknown}'
            found.append(Remark(text, origins.upstreams.get(name, "")))
    return found


def _unknown_users(policy: Policy, paths: Paths, origins: Origins) -> list[Remark]:
    """The same of `clients.users`."""
    system, found = ThisSystem(paths.root), []
    for name in policy.clients.users if policy.clients.users != "auto" and paths.is_real else ():
        try:
            if system.login(name) is None:
                text = f'clients.users: there is no user "{name}" here, so no file is written for it'
                found.append(Remark(text, origins.tables.get("clients", "")))
        except AgentError as unknown:
            text = f'clients.users: cannot look up user "{name}": {unknown}'
            found.append(Remark(text, origins.tables.get("clients", "")))
    return found


def loaded_or_default(args: argparse.Namespace, paths: Paths) -> Policy:
    """For commands that must work without a policy: if it is refused, say so on stderr and use the defaults."""
    try:
        return loaded(args, paths, refuses_unsafe=False).policy
    except NoPolicy:
        return Policy()
    except PolicyRefused as error:
        complain(f"{error}; the defaults of [docker] and [clients] are used")
        return Policy()

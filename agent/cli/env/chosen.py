"""Which upstream the lines are for.

Named on the command line, or what the running agent has chosen, or, where none runs, what a pass would choose. Nothing
is changed, and neither root, nor an engine, nor a service is needed. A shell may ask whenever it starts, so what looks
at the world (`look.py`) is imported only where there is something to look at.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import msgspec

from agent.service.status_file import Status, read_running
from agent.system.policy_file import load, owners
from agent.values.close import did_you_mean
from agent.values.errors import AgentError, NoPolicy, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy, Upstream

_HERE = "env"


class Chosen(msgspec.Struct, frozen=True):
    """An upstream, why it is this one, and the policy that it is read with."""

    upstream: Upstream
    because: str
    policy: Policy
    is_by_relay: bool = False  # Docker runs with the relay, which leads there, and wherever the agent goes next


def chosen(args: argparse.Namespace, paths: Paths) -> Chosen:
    """Raises AgentError if there is none."""
    if args.url is not None:
        return Chosen(Upstream("proxy", args.url, args.url), "as named by --url", _policy_or_default(args, paths))
    policy = _policy(args, paths)
    status = None if args.policy is not None else read_running(paths.status)
    if args.upstream is not None:
        if args.upstream not in policy.upstreams:
            said = f'no upstream "{args.upstream}"{did_you_mean(args.upstream, policy.upstreams)}'
            raise AgentError(_HERE, said, f"There are: {', '.join(policy.upstreams)}")
        if policy.upstreams[args.upstream].is_pac:
            return _by_a_pac(args.upstream, policy, paths, status)
        return Chosen(policy.upstreams[args.upstream], "as named by --upstream", policy)
    found = _by_the_agent(status, policy) if status is not None else None
    if found is not None and status is not None and status.relay is not None:
        return msgspec.structs.replace(found, is_by_relay=status.relay.in_use)
    return found or _by_a_look(policy, paths)


def _policy(args: argparse.Namespace, paths: Paths) -> Policy:
    """Its warnings are not repeated here: what is printed may be evaluated whenever a shell starts."""
    try:
        return load(args.policy or paths.policy, owners(paths), os.environ, paths).policy
    except NoPolicy as missing:
        remedy = "Write one, or name a proxy: docker-proxy-agent env --url http://proxy.example:3128"
        raise NoPolicy(missing.where, missing.wrong, remedy) from missing


def _policy_or_default(args: argparse.Namespace, paths: Paths) -> Policy:
    """A policy says what else is excluded. One that is named must be there."""
    try:
        return _policy(args, paths)
    except (NoPolicy, PolicyRefused):
        if args.policy is not None:
            raise
        return Policy()


def _by_the_agent(status: Status, policy: Policy) -> Chosen | None:
    """None: it has none, or one that this policy does not know."""
    named = "" if status.upstream is None else status.upstream.name or ""
    excepted = [host for pac in status.pacs.values() if named in pac.names for host in pac.excepted]
    if status.upstream is not None and (upstream := _named(policy, named, excepted)) is not None:
        where = f" in {status.network.name}" if status.network is not None else ""
        return Chosen(upstream, f"chosen{where}: {status.upstream.why}", policy)
    running = "" if status.docker is None else status.docker.in_use or ""
    if (upstream := _named(policy, running)) is not None:
        return Chosen(upstream, "nothing is chosen here; Docker runs with it", policy)
    return None


def _named(policy: Policy, name: str, excepted: Sequence[str] = ()) -> Upstream | None:
    """None: this policy does not know it."""
    if name in policy.upstreams or not any(upstream.is_pac for upstream in policy.upstreams.values()):
        return policy.upstreams.get(name)
    from agent.decide.pac import candidate  # noqa: PLC0415 - few policies have one, and a shell waits

    return candidate(policy, name, excepted)


def _by_a_pac(name: str, policy: Policy, paths: Paths, status: Status | None) -> Chosen:
    """What the running agent has chosen of what it names, else what works of it."""
    if status is not None and status.upstream is not None and name in status.pacs:
        named = status.upstream.name or ""
        if named in status.pacs[name].names and (found := _by_the_agent(status, policy)) is not None:
            return found
    from agent.cli.env.look import named_by_pac  # noqa: PLC0415 - it takes longer than all the rest

    upstream, because = named_by_pac(name, policy, paths)
    return Chosen(upstream, because, policy)


def _by_a_look(policy: Policy, paths: Paths) -> Chosen:
    from agent.cli.env.look import chosen_here  # noqa: PLC0415 - it takes longer than all the rest

    upstream, because = chosen_here(policy, paths)
    return Chosen(upstream, because, policy)

"""`restore`: restore every file as it was before the agent first wrote it.

Exits 0 if it is done, or there is nothing to do, or only Docker's restart waits; 1 if something could not be restored.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable

from agent.audit.facts import plain
from agent.audit.record import Record
from agent.cli.policy_of import loaded_or_default
from agent.cli.printing import complain, print_json, say
from agent.cli.session import quiet, record_for
from agent.clients.homes import Homes
from agent.clients.users import Account
from agent.docker.config_file import ConfigFile
from agent.docker.which import serving
from agent.one_pass.restore import Restored, Restoring
from agent.one_pass.world import LocalDaemon, accounts_of, local_clients
from agent.service.requests import requested
from agent.system.lock import held
from agent.system.to_the_end import to_the_end
from agent.values.errors import AgentError, Locked
from agent.values.paths import Paths
from agent.values.policy import Policy


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help="restart Docker if needed, even if containers run")


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded_or_default(args, paths)
    record = record_for("restore", paths, policy)
    try:
        with held(paths.lock):
            record(requested("restore", is_now=args.now))
            done = asyncio.run(restore(paths, policy, record, is_asked_now=args.now))
    except Locked as error:
        # The service would write everything again in its next pass.
        remedy = "Stop it first: systemctl disable --now docker-proxy-agent; or remove it: docker-proxy-agent uninstall"
        raise AgentError(error.where, error.what, remedy) from error
    if args.json:
        print_json(plain(done))
    else:
        say(*lines(done))
    for left in done.left:
        complain(left)
    if record.problem:
        complain(f"audit log: {record.problem}")
    return 1 if done.is_failed else 0


async def restore(paths: Paths, policy: Policy, record: Record, *, is_asked_now: bool) -> Restored:
    """Finish what a crashed agent left half done, then restore. The lock is held."""
    paths = serving(paths, policy.docker.service_named(paths.layout.service))
    await to_the_end(LocalDaemon(paths, policy).recover(record, may_restart=True), None)
    await local_clients(paths, policy, config_file=ConfigFile(paths)).recover()

    def accounts(files: Iterable[str]) -> tuple[Account, ...]:
        return accounts_of(paths, policy.clients, files)

    daemon = LocalDaemon(paths, policy)
    restoring = Restoring(paths.state, policy.docker, daemon=daemon, homes=Homes(), accounts=accounts)
    return await restoring.restore(record, is_asked_now=is_asked_now)


def lines(done: Restored) -> list[str]:
    """For a person."""
    shown = [f"{'removed' if target in done.removed else 'restored':13}{target}" for target in done.targets]
    outcome = done.outcome
    if outcome.restarted_s is not None:
        shown.append(f"docker       restarted, {outcome.restarted_s:.1f} s")
    if outcome.deferred:
        shown.append(f"docker       still runs with the settings that the agent gave it: {outcome.deferred}")
        shown += [f"next         nothing restarts it later: {done.by_hand}"] if done.by_hand else []
    if outcome.rolled_back:
        shown.append(f"docker       {outcome.rolled_back}")
    if outcome.condition:
        shown.append(f"docker       {outcome.condition.text}")
    return shown or ["nothing to restore"]

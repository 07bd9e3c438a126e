"""`restore`: restore every file as it was before the agent first wrote it.

Exits 0 if it is done, or there is nothing to do, or only Docker's restart waits; 1 if something could not be restored.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from agent.audit.facts import plain
from agent.audit.record import Record
from agent.cli.end_of_relay import end_relay, relay_ports
from agent.cli.policy_of import loaded_or_default
from agent.cli.printing import complain, page, print_json
from agent.cli.session import quiet, record_for
from agent.clients.homes import Homes
from agent.clients.users import Account
from agent.docker.config_file import ConfigFile
from agent.docker.originals import daemon_originals
from agent.docker.which import left_behind, serving_by
from agent.one_pass.local_clients import accounts_of, local_clients
from agent.one_pass.local_daemon import LocalDaemon
from agent.one_pass.restore import Restored, Restoring
from agent.service.requests import requested
from agent.system.lock import held
from agent.system.to_the_end import to_the_end
from agent.values.errors import AgentError, Locked
from agent.values.paths import Paths
from agent.values.policy import Docker, Policy


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    policy = loaded_or_default(args, paths)
    record = record_for("restore", paths, policy)
    try:
        with held(paths.lock):
            record(requested("restore", is_now=args.now))
            done, of_the_relay = asyncio.run(_restore_and_end_relay(paths, policy, record, is_asked_now=args.now))
    except Locked as error:
        # The service would write everything again in its next pass.
        remedy = "Stop it first: systemctl disable --now docker-proxy-agent; or remove it: docker-proxy-agent uninstall"
        raise AgentError(error.where, error.what, remedy) from error
    if args.json:
        print_json(plain(done))
    else:
        page(*lines(done), *of_the_relay)
    for left in done.left:
        complain(left)
    if record.problem:
        complain(f"audit log: {record.problem}")
    return 1 if done.is_failed else 0


async def _restore_and_end_relay(
    paths: Paths, policy: Policy, record: Record, *, is_asked_now: bool
) -> tuple[Restored, tuple[str, ...]]:
    if not paths.is_the_systems:
        return await restore(paths, policy, record, is_asked_now=is_asked_now), ()
    done = await restore(paths, policy, record, is_asked_now=is_asked_now, relay_ports=relay_ports(paths))
    return done, () if done.is_failed else await end_relay(paths, policy, record)


async def restore(
    paths: Paths, policy: Policy, record: Record, *, is_asked_now: bool, relay_ports: tuple[int, ...] = ()
) -> Restored:
    """Finish what a crashed agent left half done, then restore. The lock is held. `relay_ports`: of one that ends."""
    here = serving_by(paths, policy.docker)
    await to_the_end(LocalDaemon(here, policy).recover(record, may_restart=True), None)
    await local_clients(here, policy, config_file=ConfigFile(here)).recover()

    def accounts(files: Iterable[str]) -> tuple[Account, ...]:
        return accounts_of(here, policy.clients, files)

    async def restored(where: Paths, docker: Docker, files: tuple[str, ...] = ()) -> Restored:
        daemon = LocalDaemon(where, msgspec.structs.replace(policy, docker=docker))
        restoring = Restoring(
            paths.state,
            docker,
            daemon=daemon,
            homes=Homes(),
            accounts=accounts,
            files=files,
            relay_ports=relay_ports,
        )
        return await restoring.restore(record, is_asked_now=is_asked_now)

    beside: list[Restored] = []
    # A restart of the one that is served may not be over: its notes would be lost, and its files go back all the same.
    if not LocalDaemon(here, policy).under_way().is_unfinished:
        others = left_behind(paths, here.layout.service, daemon_originals(paths.state).all())
        docker = msgspec.structs.replace(policy.docker, restart_command=())  # which restarts the usual one
        for where, files in others:
            done = await restored(where, docker, files)
            beside.append(msgspec.structs.replace(done, unit=where.layout.service))
    return (await restored(here, policy.docker)).with_beside(beside)


def lines(done: Restored) -> list[str]:
    """For a person."""
    shown = [f"{'removed' if target in done.removed else 'restored':13}{target}" for target in done.targets]
    for one in done.beside:
        shown += _of_docker(one, f"{one.unit} ")
    shown += _of_docker(done)
    return shown or ["nothing to restore"]


def _of_docker(done: Restored, which: str = "") -> Iterator[str]:
    outcome = done.outcome
    if outcome.restarted_s is not None:
        yield f"docker       {which}restarted, {outcome.restarted_s:.1f} s"
    if outcome.deferred:
        yield f"docker       {which}still runs with the settings that the agent gave it: {outcome.deferred}"
        if done.by_hand:
            yield f"next         the agent will not restart it any more. Run: {done.by_hand}"
    if outcome.rolled_back:
        yield f"docker       {which}{outcome.rolled_back}"
    if outcome.condition:
        yield f"docker       {which}{outcome.condition.text}"

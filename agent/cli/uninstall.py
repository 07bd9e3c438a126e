"""`uninstall`: remove the service and restore every file.

Policy and audit log stay unless `--purge`, as apt keeps configuration. Exits 0 if it is gone, 1 if something could
not be restored: then what a second try needs is kept.
"""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from agent.cli.install.install import check_can
from agent.cli.install.uninstall import uninstall
from agent.cli.policy_of import loaded_or_default
from agent.cli.printing import complain, say
from agent.cli.restore import lines, restore
from agent.cli.session import quiet, record_for
from agent.decide.effective import effective
from agent.decide.relay import for_docker, port_had, ports_of
from agent.docker.which import serving
from agent.one_pass.relay_units import RelayUnits
from agent.one_pass.restore import Restored
from agent.one_pass.world import LocalDaemon
from agent.service.requests import requested
from agent.system.systemd import OF_THE_SYSTEM
from agent.values.events import RelayDisabled
from agent.values.paths import Paths
from agent.values.policy import Policy, Relay


def run(args: argparse.Namespace, paths: Paths) -> int:
    quiet(args.verbose)
    check_can("uninstall", paths)
    policy = loaded_or_default(args, paths)
    record = record_for("uninstall", paths, policy)

    async def put_back() -> Restored:
        record(requested("uninstall", is_now=args.now))
        done = await restore(paths, policy, record, is_asked_now=args.now)
        say(*lines(done))
        return await _unless_relayed(done, paths, policy)

    def note_end_of_relay() -> None:
        record(RelayDisabled(because="the agent was uninstalled"))

    done = asyncio.run(uninstall(paths, say, put_back, is_purged=args.purge, note_end_of_relay=note_end_of_relay))
    if not done.is_failed:
        return 0
    for left in done.left:
        complain(left)
    complain("the service is stopped, but not everything is restored. Fix this, then run: docker-proxy-agent uninstall")
    return 1


async def _unless_relayed(done: Restored, paths: Paths, policy: Policy) -> Restored:
    """The relay must not go while Docker runs with its address: nothing would be pulled any more."""
    listens = RelayUnits(paths, OF_THE_SYSTEM).where()
    if listens is None:
        return done
    ports = ports_of(listens) or (Relay().port,)  # whatever the policy says by now
    here = serving(paths, policy.docker.service_named(paths.layout.service))
    reality = await LocalDaemon(here, policy).reality(*(for_docker(Relay(port=port)) for port in ports))
    running = effective(reality)
    if running is None or port_had([running], ports) is None:
        return done
    restart = f"{reality.systemctl} restart {reality.unit_name}"
    stays = f"the relay: Docker still runs with its address, so it stays. Run: {restart}"
    return msgspec.structs.replace(done, left=(*done.left, stays))

"""The journey: at each place a pull, a pass, and a pull again.

The passes are real ones; only what the laptop sees of the network, and the name look-up, are simulated. Not known
here: how it is shown, and whether it ended as it should.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from agent.audit.log import AuditLog
from agent.audit.record import Record
from agent.cli.demo import places
from agent.cli.demo.names import HOST, Names
from agent.cli.demo.places import Place, Ports
from agent.cli.demo.pull import pull
from agent.cli.demo.root import PASSWORD, USER, furnish
from agent.cli.demo.servers import IMAGE, Portal, Proxy, Registry, Server
from agent.cli.demo.stop import Stop
from agent.cli.demo.supervisor import StandInSystemd
from agent.docker.config_file import ConfigFile
from agent.docker.engine import EngineSocket
from agent.one_pass.local_clients import local_clients
from agent.one_pass.local_daemon import LocalDaemon
from agent.one_pass.look import look
from agent.one_pass.no_relay import NoRelay
from agent.one_pass.pac import NoPacs
from agent.one_pass.patiently import only_looking
from agent.one_pass.reconcile import Alone, reconcile
from agent.one_pass.registries import Registries
from agent.system.lock import held
from agent.system.policy_file import load
from agent.values.errors import AgentError, PolicyRefused
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.remark import Remark
from agent.values.settings import Texts
from agent.values.snapshot import Snapshot

PULLED: Final = f"{places.REGISTRY}/{IMAGE}"
_JOURNEY: Final = (places.home, places.office, places.cafe, places.cafe_once_passed, places.home)


class Laptop:
    """A host that sees what it is given."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def see(self) -> Snapshot:
        return self._snapshot

    def dns_elsewhere(self) -> tuple[str, ...]:
        return self._snapshot.dns_elsewhere


class DemoWorld:
    """The real one, but for the host and the name look-up."""

    def __init__(self, host: Laptop, names: Names, paths: Paths, policy: Policy) -> None:
        self.host = host
        config_file = ConfigFile(paths)
        self.prober = Registries(paths, policy, names.resolve, config_file=config_file)
        self.daemon = LocalDaemon(paths, policy, config_file)
        self.clients = local_clients(paths, policy, config_file=config_file)
        self.relay = NoRelay()
        self.pacs = NoPacs()


async def roam(paths: Paths, told: Callable[[Policy, Stop], None]) -> tuple[Policy, tuple[Stop, ...]]:
    """The whole journey; `told` gets each stop as it ends. On return everything that was started has ended."""
    supervisor, names = StandInSystemd(paths.root), Names(paths.root)
    furnish(paths, supervisor.restart_command)
    policy = _policy(paths)
    stops = []
    async with _servers() as ports, supervisor:
        for place_at in _JOURNEY:
            place = place_at(ports)
            names.mean(place.names)
            stops.append(await _stop(place, names, paths, policy, supervisor=supervisor))
            told(policy, stops[-1])
    return policy, tuple(stops)


async def _stop(place: Place, names: Names, paths: Paths, policy: Policy, *, supervisor: StandInSystemd) -> Stop:
    audit_log = AuditLog(paths.audit_log, paths.state, policy.audit.keep, policy.audit.max_size)
    record = Record(audit_log).for_pass(secrets.token_hex(4), "demo")
    world = DemoWorld(Laptop(place.snapshot), names, paths, policy)
    engine = EngineSocket.of(paths, policy.docker)
    pid, restarts = supervisor.pid, supervisor.restarts
    with held(paths.lock):
        return Stop(
            place=place,
            before=await pull(engine.path, PULLED),
            would_do=await look(policy, world, only_looking(policy, world.prober, paths.state)),
            done=await reconcile(
                policy, world, record, choosing=only_looking(policy, world.prober, paths.state), maker=Alone()
            ),
            after=await pull(engine.path, PULLED),
            reported=((await engine.report()).proxies or Texts()).meaning(),
            restarts=supervisor.restarts - restarts,
            is_same_engine=supervisor.pid == pid,
        )


def _policy(paths: Paths) -> Policy:
    """Load it as a command does; a warning is an error here."""
    found = load(paths.policy, frozenset({0, os.geteuid()}), os.environ, paths)
    if found.unsafe or found.warnings:
        raise PolicyRefused(found.path, (*map(Remark, found.unsafe), *found.warnings))
    return found.policy


@contextlib.asynccontextmanager
async def _servers() -> AsyncIterator[Ports]:
    async with (
        Registry() as registry,
        Proxy({}) as guest_proxy,
        Proxy({places.REGISTRY: registry.port}, (USER, PASSWORD)) as proxy,
        Portal() as portal,
    ):
        await _check_reachable(registry)
        with _nobody() as nobody:
            yield Ports(
                registry=registry.port,
                guest_proxy=guest_proxy.port,
                proxy=proxy.port,
                portal=portal.port,
                nobody=nobody,
            )


async def _check_reachable(server: Server) -> None:
    """If loopback is down, one can listen there but not connect."""
    try:
        _, writer = await asyncio.open_connection(HOST, server.port)
    except OSError as error:
        raise AgentError(
            HOST, f"cannot be reached: {error.strerror}", "The demo needs loopback: ip link set lo up"
        ) from error
    writer.close()


@contextlib.contextmanager
def _nobody() -> Iterator[int]:
    """A port that is bound and does not listen: connections are refused, as by a firewall that rejects."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        port: int = bound.getsockname()[1]
        yield port

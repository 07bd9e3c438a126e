"""The real world behind the Protocols of a pass, put together from the policy and the paths; nothing is decided here.

The parts: `this_host`, `registries`, `local_daemon`, `local_clients`, and the relay and PAC files.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from agent.clients.homes import Homes
from agent.clients.users import ThisSystem
from agent.docker import containers
from agent.docker.config_file import ConfigFile
from agent.docker.which import serving_by
from agent.one_pass.aside import aside_or
from agent.one_pass.docker_defaults import bridge_for_relay, container_dns, hub_and_mirrors
from agent.one_pass.local_clients import local_clients
from agent.one_pass.local_daemon import LocalDaemon
from agent.one_pass.pac import LocalPacs, PacMemory
from agent.one_pass.pac_source import HostPacs
from agent.one_pass.ports import Relays
from agent.one_pass.registries import Loopback, Registries
from agent.one_pass.relay import LocalRelay
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.relay_memory import RelayMemory
from agent.one_pass.relay_units import RelayUnits
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.standpoint import Standpoint
from agent.one_pass.this_host import ThisHost, hosts_connected_to, noting
from agent.probe.dial import HERE, Ground, in_a_thread
from agent.see.ways import Ways
from agent.system.systemd import manager
from agent.values.paths import Paths
from agent.values.policy import Policy


class Lasting(msgspec.Struct, frozen=True):
    """What outlives a policy. An upstream that did not change is not probed again, so this would be lost."""

    homes: Homes = msgspec.field(default_factory=Homes)  # which of them hang, and what is watched
    ways: Ways = msgspec.field(default_factory=Ways)  # the known routes
    loopback: Loopback = msgspec.field(default_factory=Loopback)
    standpoint: Standpoint = msgspec.field(default_factory=Standpoint)  # of dockerd
    carried: containers.Known = msgspec.field(default_factory=containers.Known)  # by its containers
    relay: RelayMemory = msgspec.field(default_factory=RelayMemory)
    pacs: PacMemory = msgspec.field(default_factory=PacMemory)


class TheWorld:
    """Implements `ports.World` for this host."""

    def __init__(
        self,
        paths: Paths,
        policy: Policy,
        lasting: Lasting | None = None,
        told: Callable[[], None] | None = None,
    ) -> None:
        lasting = lasting or Lasting()
        paths = serving_by(paths, policy.docker)
        config_file = ConfigFile(paths)  # the daemon reads it, the others use what it found
        self.clients = local_clients(
            paths, policy, lasting.homes, told, config_file=config_file, vantage=lambda: lasting.standpoint.vantage
        )
        self.daemon = LocalDaemon(paths, policy, config_file, lasting.standpoint, carried=lasting.carried)

        def of_pacs() -> frozenset[str]:
            return self.pacs.hosts

        self.pacs = LocalPacs(
            policy,
            paths.state,
            HostPacs(
                paths,
                policy,
                Ground(noting(in_a_thread, lasting.ways, (), of_pacs), HERE.connect),
                manager(paths) if told is not None else None,
            ),
            registries=lambda: policy.probe.registry or hub_and_mirrors(config_file),
            told=told,
            memory=lasting.pacs,
        )

        resolve = noting(lasting.standpoint.resolve, lasting.ways, hosts_connected_to(policy), of_pacs)
        self.prober = Registries(
            paths,
            policy,
            resolve,
            told,
            loopback=lasting.loopback,
            config_file=config_file,
            standpoint=lasting.standpoint,
        )
        self.host = ThisHost(paths, policy, lasting.ways, self.prober.note_arrival, of_pacs=of_pacs)
        systemd = None if policy.docker.restart_command else manager(paths)
        self.relay: Relays = LocalRelay(
            paths,
            policy,
            prober=self.prober,
            sockets=LocalSockets(ThisSystem(paths.root)),
            bridge=lambda: aside_or(
                None, functools.partial(bridge_for_relay, paths, config_file, lasting.standpoint.vantage)
            ),
            bridges=Bridges(self.daemon.bridges),
            memory=lasting.relay,
            unfolded=lambda: self.pacs.known(policy),
            script_of=self.pacs.script_of,
            pacs=self.pacs.seen,
            units=None if systemd is None else RelayUnits(paths, systemd),
        )
        self._paths, self._config_file = paths, config_file

    def container_dns(self) -> tuple[str, ...]:
        """Whom a new container asks; () if that is not known."""
        return container_dns(self._paths, self._config_file).servers

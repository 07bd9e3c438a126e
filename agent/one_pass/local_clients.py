"""The clients' files on this host, their owners, and what these clients' containers can reach."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from agent.clients.bounded_work import WAITS_S
from agent.clients.clients import LocalClients
from agent.clients.from_containers import DropsAll, FromContainers
from agent.clients.homes import Homes
from agent.clients.users import Account, Caller, ThisSystem, Who, who
from agent.decide.bridge import Bridge
from agent.docker.client_version import DockerClient
from agent.docker.config_file import ConfigFile
from agent.docker.which import serving_by
from agent.one_pass.aside import aside_or
from agent.one_pass.docker_defaults import container_dns, way_to_host, way_to_relay
from agent.one_pass.sockets import LocalSockets
from agent.probe.dial import in_a_thread
from agent.values.paths import Paths
from agent.values.policy import Clients, Policy, Scope
from agent.values.vantage import HOST, Vantage


def local_clients(  # noqa: PLR0913 - named at every call
    paths: Paths,
    policy: Policy,
    homes: Homes | None = None,
    told: Callable[[], None] | None = None,
    *,
    config_file: ConfigFile,
    vantage: Callable[[], Vantage] = lambda: HOST,
) -> LocalClients:
    """The files of all users that the policy covers.

    `told`: called when a late result is there; None: wait for every result. `config_file` and `vantage`: Docker's.
    """
    system, caller = ThisSystem(paths.root), Caller.this()
    socket = paths.socket(policy.docker.socket)
    scope = Scope(paths.layout.scope or policy.clients.scope)
    policy = msgspec.structs.replace(
        policy,
        docker=msgspec.structs.replace(policy.docker, socket=socket),
        clients=msgspec.structs.replace(policy.clients, scope=scope),
    )

    def whose() -> Who:
        return who(policy.clients, system, caller, str(paths.root), more=paths.layout.configs)

    def accounts(files: Iterable[str]) -> tuple[Account, ...]:
        return accounts_of(paths, policy.clients, files)

    return LocalClients(
        policy=policy,
        state=paths.state,
        who=whose,
        accounts=accounts,
        homes=homes or Homes(),
        from_containers=_from_containers(
            paths,
            config_file=config_file,
            vantage=vantage,
            drops_all=DockerClient().drops_all if paths.is_real else None,
        ),
        waits_s=WAITS_S if told is not None else None,
        told=told or _nobody,
    )


def _from_containers(
    paths: Paths, *, config_file: ConfigFile, vantage: Callable[[], Vantage], drops_all: DropsAll | None = None
) -> FromContainers:
    def aside(way: Callable[[Paths, ConfigFile, Vantage], Bridge]) -> Callable[[], Awaitable[Bridge]]:
        return lambda: aside_or(Bridge(), functools.partial(way, paths, config_file, vantage()))

    return FromContainers(
        way_to_host=aside(way_to_host),
        way_to_relay=aside(way_to_relay),
        sockets=LocalSockets(ThisSystem(paths.root)),
        resolve=in_a_thread,
        drops_all=drops_all,
        container_dns=lambda: container_dns(paths, config_file),
    )


def seen_from_containers(paths: Paths, policy: Policy, vantage: Vantage) -> FromContainers:
    """What containers find, whatever client starts them. `vantage`: of their dockerd."""
    paths = serving_by(paths, policy.docker)
    return _from_containers(paths, config_file=ConfigFile(paths), vantage=lambda: vantage)


def _nobody() -> None:
    """Waits for it."""


def accounts_of(paths: Paths, clients: Clients, files: Iterable[str]) -> tuple[Account, ...]:
    """The account that each of these files is written as, even if the policy no longer lists it."""
    system, caller, wanted = ThisSystem(paths.root), Caller.this(), set(files)
    configs = paths.layout.configs
    found = {str(one.config): one for one in who(clients, system, caller, str(paths.root), more=configs).accounts}
    if missing := wanted - found.keys():
        below = "" if paths.is_real else str(paths.root)  # the policy names files without the root
        named = Clients(users=(), files=tuple(sorted(file.removeprefix(below) for file in missing)))
        found |= {str(one.config): one for one in who(named, system, caller, str(paths.root)).accounts}
    return tuple(account for file, account in found.items() if file in wanted)

"""Docker's defaults: registries, the address by which containers reach this host, DNS servers.

From daemon.json and this host. A file that dockerd would refuse counts as empty: the plan reports it. What asks the
kernel may have to wait for it (`aside.py`).
"""

from __future__ import annotations

import msgspec

from agent.decide.bridge import Bridge
from agent.docker.config_file import ConfigFile
from agent.see import netlink
from agent.see.name_servers import ContainerDns
from agent.see.netlink import NetlinkFailed
from agent.see.resolver import for_containers
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.errors import TargetFailed
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, RegistryUrl
from agent.values.vantage import Vantage


def default_registries(config_file: ConfigFile) -> tuple[RegistryUrl, ...]:
    """Docker Hub, and the mirrors that daemon.json names for it."""
    hub = RegistryUrl.parse(DEFAULT_REGISTRY)
    try:
        mirrors = daemon_json.registry_mirrors(config_file.text())
        return (*(RegistryUrl.parse(mirror) for mirror in mirrors), hub)
    except (TextRefused, TargetFailed, ValueError):  # dockerd would refuse it, too: the plan says so
        return (hub,)


def hub_and_mirrors(config_file: ConfigFile) -> tuple[RegistryUrl, ...]:
    """The same for a PAC: whom Docker asks in any case is first."""
    *mirrors, hub = default_registries(config_file)
    return (hub, *mirrors)


def default_bridge(config_file: ConfigFile) -> str | None:
    try:
        return daemon_json.bridge(config_file.text())
    except (TextRefused, TargetFailed):  # the plan says so
        return daemon_json.DEFAULT_BRIDGE


def way_to_host(paths: Paths, config_file: ConfigFile, vantage: Vantage) -> Bridge:
    """The address by which containers reach this host. Its bridge may be gone now."""
    if not vantage.is_host:  # theirs is dockerd's network
        leads_to = next(iter(vantage.meant(vantage.gateway)), "")
        if vantage.is_closed or not leads_to:
            return Bridge(is_closed=True)
        return Bridge(vantage.gateway, heard_at=leads_to)
    if not paths.layout.bridge_is_here:
        return Bridge(is_closed=True)
    bridge = default_bridge(config_file)
    return Bridge(_address(bridge)) if bridge is not None else Bridge(is_none=True)


def way_to_relay(paths: Paths, config_file: ConfigFile, vantage: Vantage) -> Bridge:
    """The same for our relay, which lets nobody in by a bridge that this host's network is on, too."""
    found, bridge = way_to_host(paths, config_file, vantage), default_bridge(config_file)
    if found.address is None or found.heard_at or bridge is None:
        return found
    return msgspec.structs.replace(found, is_left=bool(_is_left(bridge)))  # not known: who listens there tells as well


def bridge_for_relay(paths: Paths, config_file: ConfigFile, vantage: Vantage) -> str | None:
    """That address; None: it is not known now. Not that of a bridge which only a daemon.json in the making suggests:
    the relay would be stopped to listen there, and Docker's containers are where they were.

    '': it must not listen there, for this host's network is on that bridge, too, and the relay lets nobody in by it.
    """
    try:
        bridge = daemon_json.bridge(config_file.text())
    except (TextRefused, TargetFailed):
        return None
    found = way_to_host(paths, config_file, vantage)
    if bridge is None or found.heard_at:
        return found.address
    is_left = _is_left(bridge)
    return None if is_left is None else "" if is_left else found.address


def _address(bridge: str) -> str | None:
    """None: it is not there, or not known now."""
    try:
        return netlink.ipv4_at(bridge)
    except NetlinkFailed:
        return None


def _is_left(bridge: str) -> bool | None:
    """Whether our relay must not listen there; None: not known now."""
    try:
        return not netlink.is_of_guests_alone(bridge)
    except NetlinkFailed:
        return None


def container_dns(paths: Paths, config_file: ConfigFile) -> ContainerDns:
    """Where containers look names up: by `dns` in daemon.json, else by what Docker makes of the host's resolver.

    User-defined networks forward to the same servers. If the bridge is in a separate network namespace, the name server
    there asks those that the host uses at that moment (FACTS 141), so it knows what the host knows.
    """
    of_host = for_containers(paths)
    if not paths.layout.bridge_is_here:
        of_host = msgspec.structs.replace(of_host, servers=())
    try:
        text = config_file.text()
        servers, search = daemon_json.dns(text), daemon_json.dns_search(text) or of_host.search
    except (TextRefused, TargetFailed):  # the plan says so
        return ContainerDns((), (), "")
    return ContainerDns(
        servers or of_host.servers, search, "dns in daemon.json" if servers else "of this host's resolv.conf"
    )

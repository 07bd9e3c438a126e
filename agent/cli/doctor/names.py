"""Where the hosts are that Docker has to reach: their names, made-up addresses, and Docker's own networks.

Pure. Not known here: who was asked (`look.py`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign

# Clash, mihomo and sing-box answer with addresses of this range where `fake-ip` is on (RFC 2544 keeps it for tests):
# https://wiki.metacubex.one/config/dns and https://sing-box.sagernet.org/configuration/dns/server/fakeip
FAKE: Final = ipaddress.ip_network("198.18.0.0/15")


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A registry that Docker asks directly, or a proxy."""

    name: str
    is_proxy: bool = False
    is_in_use: bool = False  # Docker has to find it itself, with the settings that it has
    addresses: tuple[str, ...] = ()
    why_not: str = ""  # why there is no address
    way: str = ""  # the interface that the way to its first address leaves by; '': none, or not known
    is_tunnel: bool = False  # whether that is a TUN
    bridge: str = ""  # of containers, that the way ends on


class InContainers(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy that containers are told to use, and whose name their DNS does not know."""

    name: str
    upstream: str
    is_of_a_pac: bool = False  # which has no container_url
    asked: str  # whom they ask, and where that is written


def judge_in_containers(unknown: Iterable[InContainers]) -> Iterator[Finding]:
    for one in unknown:
        url = f"container_url of [upstream.{one.upstream}] to one that containers can look up"
        yield Finding(
            code=Sign.NAME_UNKNOWN_TO_CONTAINERS,
            is_broken=True,
            where=one.name,
            what=f"containers use this proxy, but ask {one.asked}, where its name is not known",
            why="in containers and builds, apt, pip and the like fail with: could not resolve proxy",
            command="Set in [clients]: resolve = true, which writes its address, or "
            f"{'relay.enable = true' if one.is_of_a_pac else url}; then run: sudo docker-proxy-agent apply",
        )


def judge(hosts: Iterable[Host], *, is_held: bool = False) -> Iterator[Finding]:
    """`is_held`: Docker would ask a proxy, but for what is found before this."""
    for one in hosts:
        if one.why_not:
            if one.is_in_use and not (is_held and not one.is_proxy):
                yield _unknown(one)
        elif one.addresses and all(map(_is_fake, one.addresses)):
            yield _fake(one) if one.is_tunnel else _dead(one)
        elif one.is_proxy and one.bridge:
            yield _hidden(one)


def _is_fake(address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in FAKE
    except ValueError:  # with a scope
        return False


def _unknown(one: Host) -> Finding:
    what = "proxy that Docker uses" if one.is_proxy else "registry, which Docker reaches without a proxy,"
    return Finding(
        code=Sign.NAME_UNKNOWN,
        is_broken=True,
        where=one.name,
        what=f"the name of this {what} does not resolve: {one.why_not}",
        why="every pull fails with: no such host, or times out",
        command=f"Run: getent ahosts {one.name}. If that prints nothing, the name servers in /etc/resolv.conf do not "
        "know the name: it may be wrong, a VPN that knows it may be down, or only a proxy can resolve it here",
    )


def _fake(one: Host) -> Finding:
    return Finding(
        code=Sign.FAKE_ADDRESS,
        is_broken=False,
        where=one.name,
        what=f"its address here is {one.addresses[0]}, made up by an app with a TUN ({one.way}): fake-ip",
        why=(
            "what seems to be direct goes through that app; when the app stops, the address leads nowhere, "
            "and programs that still have it fail"
        ),
        command="Nothing to do, if you want that. Otherwise add the name to the app's fake-ip-filter",
    )


def _dead(one: Host) -> Finding:
    out = f"goes out by {one.way}, which is not a TUN" if one.way else "has no route"
    return Finding(
        code=Sign.FAKE_ADDRESS_DEAD,
        is_broken=one.is_in_use,
        where=one.name,
        what=f"its address here is {one.addresses[0]}, made up by an app (fake-ip), and {out}",
        why="the app's name server still answers, but its tunnel is gone: connections time out",
        command="Start the app's TUN, or quit the app completely; then: sudo resolvectl flush-caches",
    )


def _hidden(one: Host) -> Finding:
    return Finding(
        code=Sign.PROXY_IN_DOCKERS_RANGE,
        is_broken=one.is_in_use,
        where=one.name,
        what=f"the route to this proxy ends at {one.bridge}",
        why="a Docker network uses the proxy's address range: no packet reaches the proxy, and no error says so",
        command=(
            "docker network ls and docker network inspect show which network; docker network rm removes it. "
            "default-address-pools in daemon.json keeps new networks out of that range"
        ),
    )

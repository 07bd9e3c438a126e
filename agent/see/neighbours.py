"""The MACs of gateways, for a policy that names one.

The kernel knows a MAC only after something was sent there: an empty UDP datagram prompts it (FACTS 28). Then the
kernel's messages about its neighbours are waited for.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Collection
from typing import Final

import msgspec

from agent.see import netlink
from agent.see.asking import Asking, at_once

ANSWERS_WITHIN_S: Final = 1.0  # a gateway on the link takes milliseconds; one that sleeps must not hold up a pass
_DISCARD: Final = 9  # the discard port; all that counts is the ARP request before it
_NEWS_OF_NEIGHBOURS: Final = 1 << 2  # RTNLGRP_NEIGH
_IP_UNICAST_IF: Final = 50  # linux/in.h, in6.h: the interface to send from; needs no privilege
_IPV6_UNICAST_IF: Final = 76


class Gateway(msgspec.Struct, frozen=True):
    """A gateway on one interface: on another, the same address may be another machine."""

    interface: int  # its index
    address: str


async def macs(gateways: Collection[Gateway], asking: Asking = at_once) -> dict[Gateway, str]:
    """The MACs of those that have one; an unresolved gateway is prompted and waited for."""
    known = await asking(lambda: _known(gateways))
    if len(known) == len(set(gateways)):
        return known
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as news:
        news.bind((0, _NEWS_OF_NEIGHBOURS))  # before prompting: the answer may come at once
        awaited = {gateway for gateway in gateways if gateway not in known and _prompt(gateway)}
        loop = asyncio.get_running_loop()
        until = loop.time() + ANSWERS_WITHIN_S
        while not awaited <= known.keys():
            try:
                async with asyncio.timeout_at(until):  # of the gateway; the kernel has its own time
                    await loop.sock_recv(news, 65536)
            except TimeoutError:
                break
            except OSError:  # too many messages at once: look, too
                pass
            known = await asking(lambda: _known(gateways))
    return known


def _known(gateways: Collection[Gateway]) -> dict[Gateway, str]:
    found = {Gateway(neighbour.interface, neighbour.address): neighbour.mac for neighbour in netlink.neighbours()}
    return {gateway: found[gateway] for gateway in gateways if gateway in found}


def _prompt(gateway: Gateway) -> bool:
    """Send an empty datagram, so that the kernel has to ask for its MAC. Whether it was sent."""
    is_ipv6 = ":" in gateway.address
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as prompt:
        number = struct.pack("!I", gateway.interface)  # a number in this order may be too large for Python to give
        try:
            if is_ipv6:
                prompt.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_IF, number)
                prompt.sendto(b"", (gateway.address, _DISCARD, 0, gateway.interface))
            else:
                prompt.setsockopt(socket.IPPROTO_IP, _IP_UNICAST_IF, number)
                prompt.sendto(b"", (gateway.address, _DISCARD))
        except OSError:  # it cannot be sent, or a firewall forbids it: nothing to wait for
            return False
    return True

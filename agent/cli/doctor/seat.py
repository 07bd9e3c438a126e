"""Tries a proxy of this host from a container's place, by a process that is gone afterwards (`seat_helper.py`).

Needs root, iproute2 and util-linux. No container is started, and Docker is not asked for one.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.cli.doctor.firewall import Answer, Filter, Seat
from agent.cli.doctor.seat_helper import WITHIN_S
from agent.system.programs import run
from agent.system.text_files import read_text
from agent.values.errors import TargetFailed
from agent.values.machine_text import lines
from agent.values.paths import Paths

_HELPER: Final = Path(__file__).with_name("seat_helper.py")


async def tried(seat: Seat, own: str) -> Seat:
    """The same with the answer. `own`: the address to try it from, with its prefix, which nobody has."""
    words = (str(_HELPER), seat.bridge, own, seat.address, str(seat.port))
    try:
        done = await run((sys.executable, "-I", "-S", "-X", "utf8", *words), WITHIN_S + 2.0)
    except (OSError, TimeoutError) as error:
        return msgspec.structs.replace(seat, answer=Answer.UNKNOWN, why_not=str(error) or "it took too long")
    told = done.out.decode(errors="replace")
    if told in {answer.value for answer in Answer}:
        return msgspec.structs.replace(seat, answer=Answer(told))
    return msgspec.structs.replace(seat, answer=Answer.UNKNOWN, why_not=told or done.complaint)


def free_address(network: Mapping[str, Any]) -> str:
    """One that no container has, with its prefix: the last that is free, for Docker takes the first. '': none.

    `network`: as Docker inspects it.
    """
    taken = {
        ipaddress.ip_interface(str(one.get("IPv4Address"))).ip
        for one in (network.get("Containers") or {}).values()
        if one.get("IPv4Address")
    }
    for config in (network.get("IPAM") or {}).get("Config") or []:
        taken |= {ipaddress.ip_address(str(config["Gateway"]))} if config.get("Gateway") else set()
        subnet = ipaddress.ip_network(str(config.get("Subnet")), strict=False)
        if subnet.version == 4:
            last = int(subnet.broadcast_address)
            for number in range(last - 1, max(last - 1000, int(subnet.network_address)), -1):
                if (address := ipaddress.ip_address(number)) not in taken:
                    return f"{address}/{subnet.prefixlen}"
    return ""


def kept_by(paths: Paths) -> Filter:
    """Whose rules they are."""
    try:
        ufw = read_text(paths.below("/etc/ufw/ufw.conf")) or ""
    except TargetFailed:
        ufw = ""
    if "ENABLED=yes" in lines(ufw):
        return Filter.UFW
    return Filter.FIREWALLD if os.path.lexists(paths.invocation_link("firewalld.service")) else Filter.OTHER

"""Which hosts dockerd goes to directly: Go's rules for NO_PROXY (FACTS 9; golang.org/x/net/http/httpproxy).

Pure. An entry that Go does not understand is ignored here, too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from agent.values.listening import IpAddress, unmapped

_CIDR = re.compile(r"[0-9a-f:.]+/[0-9]{1,3}")
_HOST_PORT = re.compile(r"(?P<host>[^:\[\]]+|\[(?P<v6>[^\[\]]*)\]):(?P<port>[^:\[\]]*)")


def excludes(entries: Sequence[str], host: str, port: int) -> bool:
    """Whether a connection to host:port bypasses the proxy. An IPv6 `host` has no brackets."""
    host = host.strip().lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_excludes(entry.strip().lower(), host, address, port) for entry in entries)


def _excludes(entry: str, host: str, address: IpAddress | None, port: int) -> bool:
    if entry == "*":
        return True
    if _CIDR.fullmatch(entry):
        return address is not None and _contains(entry, address)
    named, wanted_port = _host_and_port(entry)
    if wanted_port not in ("", str(port)):
        return False
    literal = _address(named)
    if literal is not None:
        return literal == address
    domain = named.removeprefix("*")
    if domain.startswith("."):
        return host.endswith(domain)
    return bool(named) and (host == named or host.endswith(f".{named}"))


def _contains(cidr: str, address: IpAddress) -> bool:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
    return address in network


def _host_and_port(entry: str) -> tuple[str, str]:
    parts = _HOST_PORT.fullmatch(entry)
    if parts is None:
        return entry, ""
    return parts["v6"] or parts["host"], parts["port"]


def _address(text: str) -> IpAddress | None:
    """A literal address as Go parses one; IPv4 within IPv6 is that IPv4."""
    if "%" in text:
        return None
    try:
        return unmapped(ipaddress.ip_address(text))
    except ValueError:
        return None

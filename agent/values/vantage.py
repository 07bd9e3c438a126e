"""From where dockerd looks at the network: from this host itself, or from a network of its own.

Values only: how it is found out is in `docker/vantage.py`, what it means for dockerd's settings in `decide/desired.py`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agent.values.listening import loopback_addresses
from agent.values.settings import ProxyUrl

_HOSTS: Final = "127.0.0.1"  # what a gateway of slirp4netns or pasta leads to; no other address of loopback


class Vantage(msgspec.Struct, frozen=True):
    """How dockerd sees this host. By default as every program of it does."""

    is_host: bool = True
    gateway: str = ""  # the address there by which this host's 127.0.0.1 is reached, if at all; '': there is none
    is_closed: bool = False  # whether what starts it was told not to let it through to this host's loopback
    has_ipv6: bool = True  # whether it has a way out by IPv6
    knows_switch: bool = False  # whether that can be told otherwise

    def reached_by(self, url: ProxyUrl) -> ProxyUrl:
        """The same proxy as dockerd reaches it. One that it cannot reach stays as it is."""
        if self.is_host or not self.gateway or _HOSTS not in loopback_addresses(url.host):
            return url
        return msgspec.structs.replace(url, host=self.gateway)

    def meant(self, address: str) -> tuple[str, ...]:
        """The loopback addresses of this host that a connection from there to an address leads to; () if none."""
        if self.is_host:
            return loopback_addresses(address)
        return (_HOSTS,) if self.gateway and address == self.gateway else ()


HOST: Final = Vantage()

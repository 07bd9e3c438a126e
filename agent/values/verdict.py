"""How the test of one upstream ended, with its evidence and timings.

Values only: how a verdict comes about is in `probe/`, what follows from it in `decide/choose.py`.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

# In the evidence where another user listens: whose it should be stands before it, and who it is behind it.
IS_EXPECTED: Final = "'s is expected"
# At the end of the evidence where a relay of ours has turned the probe away for its limits, and said so itself.
BY_ITS_LIMITS: Final = ", by the relay's own limits"


class Outcome(enum.Enum):
    """The ways in which a probe ends."""

    OK = "ok"  # the registry answered through the upstream
    NO_ROUTE = "no-route"  # the kernel knows no way to the upstream, or to the registry for `direct`
    DNS = "dns"  # a name could not be resolved here
    REFUSED = "refused"  # nothing listens there
    TIMEOUT = "timeout"  # not done within the policy's probe.timeout
    PROXY_AUTH = (
        "proxy-auth"  # the proxy wants other credentials (407, of tinyproxy 401; SOCKS: method or password refused)
    )
    PROXY_DENIED = "proxy-denied"  # the proxy does not let this registry pass (4xx to CONNECT)
    PROXY_DOWN = "proxy-down"  # the proxy itself cannot reach the registry (5xx to CONNECT)
    TLS = "tls"  # a certificate was rejected
    PORTAL = "portal"  # something else answered in the registry's place
    REGISTRY = "registry"  # the registry answered that it cannot
    ERROR = "error"  # anything else: garbage, a connection that broke off


# What may pass by itself in the seconds after a network change (patience).
SOFT: Final = frozenset(
    {Outcome.DNS, Outcome.NO_ROUTE, Outcome.TIMEOUT, Outcome.ERROR, Outcome.PROXY_DOWN, Outcome.REGISTRY}
)

# Whose evidence is in our words alone: whom we asked, and how long it took. The others quote whoever answered there,
# and that may tell where it is: a portal's name, an issuer of certificates, the reason phrase of some box.
IN_OUR_WORDS: Final = frozenset({Outcome.OK, Outcome.NO_ROUTE, Outcome.DNS, Outcome.REFUSED, Outcome.TIMEOUT})


class DeadEnd(enum.Enum):
    """What is in the way of a dockerd in a network of its own, and not in the way of this host."""

    LOOPBACK = "Docker's own network cannot reach this host's loopback, where it listens"
    IPV6 = "Docker's own network has no IPv6"


class Timings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long each step took, in milliseconds; None for a step that was not reached or not needed."""

    resolve: float | None = None
    connect: float | None = None
    proxy: float | None = None  # TLS to the proxy, CONNECT or the SOCKS handshake
    tls: float | None = None
    answer: float | None = None
    total: float = 0.0


class Verdict(msgspec.Struct, frozen=True):
    """How one upstream did. `evidence` is one redacted, escaped line for a person, '' where nothing needs saying."""

    outcome: Outcome
    evidence: str = ""
    timings: Timings = Timings()
    dead_end: DeadEnd | None = None

    @property
    def is_ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def is_soft(self) -> bool:
        return self.outcome in SOFT and self.dead_end is None

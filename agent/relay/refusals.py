"""What a client is answered when it does not get what it asked for.

The reason goes into the status line: it is all that dockerd and curl show of a refused CONNECT (FACTS 230). The body
says it again, with what to do. There is no 407: the upstream's password is not the client's business, and a client that
gets a 407 asks its user.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agent.values.relay import LIMITS
from agent.values.secret import escaped

_STATUS: Final = "sudo docker-proxy-agent status"


class Refusal(msgspec.Struct, frozen=True):
    """No, why, and what to do."""

    status: int
    reason: str  # one line, for a status line
    remedy: str = ""  # a command or a deed
    says: bytes = b""  # to whoever knows this relay

    @property
    def line(self) -> bytes:
        """The reason as a status line can hold it."""
        return escaped(self.reason).encode("ascii", "replace")

    @property
    def body(self) -> bytes:
        said = f"docker-proxy-agent: {escaped(self.reason)}"
        return f"{said}\n{self.remedy}\n".encode() if self.remedy else f"{said}\n".encode()


def malformed(what: str) -> Refusal:
    """The request breaks a rule of HTTP, or is none to a proxy."""
    return Refusal(400, what, "This is the relay of docker-proxy-agent, an HTTP proxy: use it as http_proxy.")


def too_slow() -> Refusal:
    return Refusal(408, "the head of the request did not arrive in time")


def too_long(what: str = "the head of the request") -> Refusal:
    return Refusal(431, f"{what} is too long, or has too many lines")


def forbidden(what: str) -> Refusal:
    """Where the client may not go through us."""
    return Refusal(
        403, what, "A container reaches this host and its neighbours directly, or not at all: see docs/relay.md."
    )


def no_way(upstream: str, what: str) -> Refusal:
    """The way to the end did not open, or broke before an answer."""
    return Refusal(502, f"through {upstream}: {what}", f"See: {_STATUS}")


def not_ready(what: str) -> Refusal:
    """There is no way at the moment: none chosen yet, or none that works."""
    return Refusal(503, what, f"See: {_STATUS}")


def too_many(what: str) -> Refusal:
    """A limit of ours is reached, which the agent's probe is not to take for a failure."""
    remedy = "Try again in a while, or raise max_connections under [relay] in the policy."
    return Refusal(503, what, remedy, says=LIMITS)


def too_often(what: str) -> Refusal:
    """The same, of what only time helps against."""
    return Refusal(503, what, "The rest are reserved for this host. Try again in a minute.", says=LIMITS)


def stopping() -> Refusal:
    """It is no failure that the next one is not there yet."""
    return Refusal(503, "the relay is being stopped or restarted", f"See: {_STATUS}", says=LIMITS)


def too_late(upstream: str, what: str) -> Refusal:
    """The way to the end did not open within its limit."""
    return Refusal(504, f"through {upstream}: {what}", f"See: {_STATUS}")

"""Upstreams that this host reaches, and a dockerd in a network of its own does not; and what a person can do.

Pure. Not known here: how it was found that nothing gets there (`probe/`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final

from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality
from agent.values.listening import is_loopback
from agent.values.policy import Upstream
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import DeadEnd, Verdict

_SWITCH: Final = "DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false"
_IPV6: Final = "DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--ipv6"


def dead_end(upstream: Upstream, met: Iterable[str], vantage: Vantage, *, is_heard_here: bool) -> DeadEnd | None:
    """Why dockerd does not get to an upstream that it did not reach. None: this host would not get there, either.

    `met`: the names and addresses of the proxy. `is_heard_here`: whether it is this host's, and answers here.
    """
    if vantage.is_host:
        return None
    if is_heard_here:
        return DeadEnd.LOOPBACK
    versions = {_version(address) for address in met} - {0}
    return DeadEnd.IPV6 if versions == {6} and not vantage.has_ipv6 and not is_on_loopback(upstream) else None


def is_on_loopback(upstream: Upstream) -> bool:
    """Whether a URL of it is one that only this host reaches."""
    return any(map(is_loopback, upstream.urls))


def _version(address: str) -> int:
    """0: it is a name."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).version
    except ValueError:
        return 0


def dead_ends(verdicts: Mapping[str, Verdict], reality: Reality) -> tuple[Condition, ...]:
    """What to say of them. What is in a network of its own is a user's, and so is its systemd."""
    return tuple(
        Condition(
            Code.OUT_OF_REACH, f"{name} cannot be reached: {verdict.dead_end.value}", _remedy(verdict.dead_end, reality)
        )
        for name, verdict in verdicts.items()
        if verdict.dead_end is not None
    )


def _remedy(found: DeadEnd, reality: Reality) -> str:
    if found is DeadEnd.IPV6:
        return _set(_IPV6, reality)
    vantage = reality.vantage or HOST  # not known now: nothing is said of it that may be wrong
    if vantage.gateway and not vantage.is_closed:
        return "Let the proxy listen on 127.0.0.1, the only address that this Docker can reach"
    if vantage.is_closed and vantage.knows_switch:
        price = "To let this Docker and all its containers reach everything that listens on 127.0.0.1 here"
        return f"{price}: {_set(_SWITCH, reality)}"
    return (
        "This Docker has no switch for that. Let the proxy listen on this host's address in the network, too, which"
        " opens it to that network, and name that address in the policy"
    )


def _set(variable: str, reality: Reality) -> str:
    unit = reality.unit_name
    return f"systemctl --user edit {unit}: [Service] Environment={variable}; then systemctl --user restart {unit}"

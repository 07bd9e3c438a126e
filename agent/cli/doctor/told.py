"""How a condition of a pass is told to somebody whose pulls fail, and who need not know the agent.

Pure. Of a code that is not named here its own text stands.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality
from agent.values.secret import redacted

BY_LAST_ORDERS: Final = "pulls still work, for the relay goes on with what it used before"
_PAUSED: Final = ": nothing is written or restarted"
_NOTHING_WORKS: Final = re.compile(r"nothing works \((.*)\): nothing is changed")
_AGENT, _NETWORK, _DOCKER, _CONTAINERS = "the agent", "this network", "Docker", "containers"
# What a condition without a file or unit is about; of others it is the agent.
_WHERE: Final = {
    Code.PORTAL: _NETWORK, Code.UNREACHABLE: _NETWORK, Code.UNSTEADY: _NETWORK, Code.REGISTRY_UNREACHABLE: _NETWORK,
    Code.OUT_OF_REACH: _NETWORK, Code.QUARANTINED: _DOCKER, Code.BLOCKED: _DOCKER, Code.ENGINE_ABSENT: _DOCKER,
    Code.ENGINE_STOPPED: _DOCKER, Code.ENGINE_DOWN: _DOCKER, Code.ENGINE_SILENT: _DOCKER, Code.ENGINE_SLOW: _DOCKER,
    Code.UNSUPPORTED: _DOCKER, Code.NOT_EFFECTIVE: _DOCKER, Code.CONTAINERS_LOST: _CONTAINERS,
    Code.CONTAINERS_CUT_OFF: _CONTAINERS,
    Code.CONTAINERS_STALE: _CONTAINERS, Code.CLIENT_UNREACHABLE: _CONTAINERS, Code.CLIENT_NOT_EFFECTIVE: _CONTAINERS,
    Code.RELAY_FAILED: "the relay", Code.RELAY_NOT_KEPT: "the relay",
}  # fmt: skip


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log says of it; '' is not known."""

    at: str = ""
    by: str = ""
    whose: str = ""  # the name among the words of `by`


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What else is known."""

    policy: str = "/etc/docker-proxy-agent/config.toml"
    reality: Reality | None = None
    pause: Pause = Pause()
    still_used: str = ""  # which policy the agent uses while the one in the file is refused
    is_docker_failing: bool = False  # what it runs with does not work here
    is_led_out: bool = False  # by the relay's last orders, whatever the upstreams do


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a finding."""

    where: str
    what: str
    why: str
    command: str


def told(condition: Condition, around: Around) -> Told:
    plain = Told(
        where=condition.target or _WHERE.get(condition.code, _AGENT),
        what=condition.text,
        why=_why(condition, around),
        command=condition.remedy,
    )
    reality = around.reality
    if condition.code is Code.PAUSED:
        return msgspec.structs.replace(
            plain, where=_AGENT, what=_paused(condition, around.pause), command="docker-proxy-agent resume"
        )
    if condition.code is Code.CLIENT_NO_CREDENTIALS:
        return _no_credentials(around.policy)
    if condition.code is Code.UNREACHABLE and (tried := _NOTHING_WORKS.fullmatch(condition.text)):
        what = f"no upstream of the policy reaches a registry from here: {tried[1]}"
        return msgspec.structs.replace(plain, what=what)
    if condition.code is Code.BLOCKED and reality is not None and reality.flags.names:
        what = f"dockerd is started with {', '.join(reality.flags.names)}: that overrides whatever the agent writes"
        return msgspec.structs.replace(plain, what=what)
    return plain


def _no_credentials(policy: str) -> Told:
    return Told(
        where=policy,
        what="containers and builds do not get the proxy's password",
        why="the proxy may refuse them; docker pull does not need it",
        command="If they need it, set in [clients]: credentials = true "
        "(whoever can look at a container then sees the password)",
    )


def _paused(condition: Condition, pause: Pause) -> str:
    since = f" since {pause.at}" if pause.at else ""
    by = f", by {pause.by}" if pause.by else ""
    return f"is {condition.text.removesuffix(_PAUSED)}{since}{by}: it does not follow the network"


def _why(condition: Condition, around: Around) -> str:
    reality, is_failing = around.reality, around.is_docker_failing
    match condition.code:
        case Code.BLOCKED if reality is not None and reality.flags.names:
            asked = redacted(reality.flags.proxies.https or reality.flags.proxies.http)
            goes = f"asks {asked}" if asked else "uses those flags"
            return f"in every network Docker {goes}: pulls fail where that does not work"
        case Code.UNREACHABLE if around.is_led_out:
            return BY_LAST_ORDERS
        case Code.NOT_EFFECTIVE:
            return _without(reality) or "Docker does not get what this network needs, so pulls may fail"
        case Code.PAUSED | Code.PINNED_BUT_FAILING if is_failing:
            return _without(reality) or "Docker has settings that do not work in this network: pulls fail"
        case Code.PINNED_BUT_FAILING:
            return "clients and new containers use it already, and Docker will after its next restart: downloads fail"
        case Code.POLICY_ERROR:
            return around.still_used
    return _ALWAYS.get(condition.code, "")


_ALWAYS: Final = {
    Code.CONTAINERS_CUT_OFF: "their downloads fail with: connection refused",
    Code.PINNED: "it is used in other networks, too, where it may not work",
    Code.PAUSED: "in other networks, too, Docker keeps what it has now, which may not work there",
    Code.UNREACHABLE: "pulls fail; Docker keeps its current settings",
    Code.ENGINE_DOWN: "docker fails with: Cannot connect to the Docker daemon",
}


def _without(reality: Reality | None) -> str:
    """'' if Docker has a proxy, or it is not known."""
    proxies = reality.engine.proxies if reality is not None and reality.engine is not None else None
    if proxies is None or proxies.http or proxies.https:
        return ""
    return "Docker runs without the proxy of this network: pulls fail with: no such host, or time out"

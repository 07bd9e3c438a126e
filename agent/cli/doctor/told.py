"""How a condition of a pass is told to somebody whose pulls fail, and who need not know the agent.

Pure. Of a code that is not named here its own text stands.
"""

from __future__ import annotations

import msgspec

from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality
from agent.values.secret import redacted

_PAUSED = ": nothing is written or restarted"


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log says of it; '' is not known."""

    at: str = ""
    by: str = ""
    user: str = ""  # among the words of `by`


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What else is known."""

    reality: Reality | None = None
    pause: Pause = Pause()
    is_docker_failing: bool = False  # what it runs with does not work here


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a finding."""

    where: str
    what: str
    why: str
    command: str


def told(condition: Condition, around: Around) -> Told:
    plain = Told(
        where=condition.target or condition.code.value,
        what=condition.text,
        why=_why(condition, around),
        command=condition.remedy,
    )
    reality = around.reality
    if condition.code is Code.PAUSED:
        return msgspec.structs.replace(
            plain, where="the agent", what=_paused(condition, around.pause), command="docker-proxy-agent resume"
        )
    if condition.code is Code.BLOCKED and reality is not None and reality.flags.names:
        what = f"dockerd is started with {', '.join(reality.flags.names)}: that beats whatever the agent writes"
        return msgspec.structs.replace(plain, what=what)
    return plain


def _paused(condition: Condition, pause: Pause) -> str:
    since = f" since {pause.at}" if pause.at else ""
    by = f", by {pause.by}" if pause.by else ""
    return f"is {condition.text.removesuffix(_PAUSED)}{since}{by}: it does not follow the network"


def _why(condition: Condition, around: Around) -> str:
    reality, is_failing = around.reality, around.is_docker_failing
    match condition.code:
        case Code.BLOCKED if reality is not None and reality.flags.names:
            asked = redacted(reality.flags.proxies.https or reality.flags.proxies.http)
            goes = f"asks {asked}" if asked else "goes by that"
            return f"in every network Docker {goes}: pulls fail where that does not work"
        case Code.NOT_EFFECTIVE:
            return _without(reality) or "Docker does not get what this network needs, so pulls may fail"
        case Code.PAUSED | Code.PINNED | Code.PINNED_BUT_FAILING if is_failing:
            return _without(reality) or "Docker has settings that do not work in this network: pulls fail"
        case Code.PAUSED | Code.PINNED:
            return "in another network Docker keeps what it has now, which may not work there"
        case Code.ENGINE_DOWN:
            return "docker fails with: Cannot connect to the Docker daemon"
    return ""


def _without(reality: Reality | None) -> str:
    """'' if Docker has a proxy, or it is not known."""
    proxies = reality.engine.proxies if reality is not None and reality.engine is not None else None
    if proxies is None or proxies.http or proxies.https:
        return ""
    return "Docker runs without the proxy of this network: pulls fail with: no such host, or after a long wait"

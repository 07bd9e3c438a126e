"""What the running containers carry of a proxy. Each is inspected once in its life: its environment never changes.

It asks for the list alone, and that only after a look at Docker (`LocalDaemon.carried`); for the networks only if
a container is on one that is new. Never by an open `/events` stream, which would cost every restart of Docker seconds
(FACTS 14).
Not known here: whether Docker may be asked, and what they should carry (`decide/stale.py`).
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from agent.decide.stale import MOST
from agent.system.running_time import within
from agent.targets.container import Carried, carried
from agent.values.errors import EngineSilent

WITHIN_S: Final = 2.0  # all of it: a note is not worth a longer pass
LISTED: Final = "/containers/json"
NETWORKS: Final = "/networks"

# Their containers stand beside this host in its own network, and the kernel passes nothing between the two (FACTS 259).
_BESIDE_THIS_HOST: Final = frozenset({"macvlan", "ipvlan"})
_CLUSTERS: Final = frozenset({"com.docker.swarm.task.id", "io.kubernetes.pod.uid"})  # labels

T = TypeVar("T", dict[str, Any], list[Any])


class Asked(Protocol):
    """dockerd's API. EngineSilent if it does not answer."""

    async def ask(self, target: str, kind: type[T]) -> T | None: ...


class Known(msgspec.Struct):
    """What is known of those that still run, by id. It outlives a policy."""

    by_id: dict[str, Carried] = {}
    drivers: dict[str, str] = {}  # of the networks that they are on, by id


async def running(engine: Asked, known: Known) -> tuple[Carried, ...]:
    """EngineSilent: not known; what was learnt on the way is kept."""
    try:
        async with within(WITHIN_S):
            listed = await engine.ask(LISTED, list) or []
            own = [one for one in listed[:MOST] if isinstance(one, dict) and not is_of_a_cluster(one)]
            names = [str(one.get("Id")) for one in own]
            known.by_id = {name: known.by_id[name] for name in names if name in known.by_id}
            for name in names:
                if name not in known.by_id and (found := await inspected(engine, name)) is not None:
                    known.by_id[name] = carried((found.get("Config") or {}).get("Env") or ())
            await _learn_whose_are_beside(engine, known, dict(zip(names, map(_networks, own), strict=True)))
    except TimeoutError as error:
        raise EngineSilent(LISTED, f"no answer within {WITHIN_S:.0f} s") from error
    return tuple(known.by_id.values())


async def _learn_whose_are_beside(engine: Asked, known: Known, networks: dict[str, frozenset[str]]) -> None:
    """By the networks of each: a container may be connected to others at any time."""
    used = frozenset[str]().union(*networks.values())
    if not used <= known.drivers.keys():
        listed = await engine.ask(NETWORKS, list) or []
        drivers = {str(one.get("Id")): str(one.get("Driver")) for one in listed if isinstance(one, dict)}
        known.drivers = {network: drivers.get(network, "") for network in used}
    for name, of_it in networks.items():
        if name in known.by_id:
            is_beside = bool(of_it) and all(known.drivers.get(one) in _BESIDE_THIS_HOST for one in of_it)
            known.by_id[name] = msgspec.structs.replace(known.by_id[name], has_no_bridge=is_beside)


def _networks(listed: dict[str, Any]) -> frozenset[str]:
    found = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    return frozenset(str(one.get("NetworkID")) for one in found.values() if isinstance(one, dict))


def is_of_a_cluster(listed: dict[str, Any]) -> bool:
    """Whether Swarm or Kubernetes made it, and makes it again as it was. The client gives those nothing."""
    return not _CLUSTERS.isdisjoint(listed.get("Labels") or {})


async def inspected(engine: Asked, container: str) -> dict[str, Any] | None:
    """None: it has been removed meanwhile."""
    return await engine.ask(f"/containers/{quote(container, safe='')}/json", dict)

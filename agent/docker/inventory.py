"""All containers and images with what they carry, asked of dockerd one by one: for a command, not for a pass.

It only reads. Not known here: whether Docker may be asked, and what is stale (`decide/stale_things.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from agent.decide.stale import MOST
from agent.docker.containers import LISTED, Asked, inspected, is_of_a_cluster
from agent.targets.docker_create import named
from agent.values.errors import EngineSilent
from agent.values.inventory import Inspected, Inventory

NameServers = Callable[[Path], tuple[str, ...]]  # that a file such as /etc/resolv.conf names


async def inventory(engine: Asked, name_servers: NameServers, below: Callable[[str], Path]) -> Inventory:
    """EngineSilent if it stops answering. `below`: where a path of dockerd's is for us."""
    listed = await engine.ask(f"{LISTED}?all=1", list) or []
    own = [one for one in listed if isinstance(one, dict) and not is_of_a_cluster(one)]
    containers = [found for one in own[:MOST] if (found := await inspected(engine, str(one.get("Id")))) is not None]
    in_stock = await engine.ask("/images/json", list) or []
    names = [str(one.get("Id")) for one in in_stock if isinstance(one, dict)]
    images = {name: found for name in names[:MOST] if (found := await _image(engine, name)) is not None}
    for one in containers:
        name = str(one.get("Image"))
        if name not in images and (found := await _image(engine, name)) is not None:  # in stock without a name
            images[name] = found
    servers = {str(one.get("Id")): asks for one in containers if (asks := _servers(one, name_servers, below))}
    left_out = max(0, len(own) - MOST) + max(0, len(names) - MOST)
    return Inventory(tuple(containers), images, servers, left_out)


async def with_sizes(engine: Asked, found: Inventory, names: Collection[str]) -> Inventory:
    """dockerd counts the files of each, which takes a while: only those are asked for that somebody wants to know."""
    seen = []
    for one in found.containers:
        now = await _sized(engine, str(one.get("Id"))) if named(one) in names else None
        seen.append(now or one)
    return msgspec.structs.replace(found, containers=tuple(seen))


async def _sized(engine: Asked, name: str) -> dict[str, Any] | None:
    try:
        return await engine.ask(f"/containers/{quote(name, safe='')}/json?size=1", dict)
    except EngineSilent:  # millions of files take longer than anybody waits: it is listed without its size
        return None


async def _image(engine: Asked, name: str) -> dict[str, Any] | None:
    return await engine.ask(f"/images/{quote(name, safe='')}/json", dict)


_ITS_OWN: Final = ("host", "none", "container:")  # networks in which resolv.conf is not Docker's to make


def _servers(container: Inspected, name_servers: NameServers, below: Callable[[str], Path]) -> tuple[str, ...]:
    """Of one that runs, and whose servers Docker took from the host."""
    host = container.get("HostConfig") or {}
    is_up = bool((container.get("State") or {}).get("Running"))
    mode, path = str(host.get("NetworkMode") or ""), container.get("ResolvConfPath")
    if not is_up or not path or host.get("Dns") or mode.startswith(_ITS_OWN):
        return ()
    return name_servers(below(str(path)))

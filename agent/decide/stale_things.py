"""Everything that still carries other settings, and the command that makes each of it again.

Pure. Not known here: when something is stale (`stale.py`), and how a command is put together (`make_again.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from agent.decide import make_again
from agent.decide.stale import Difference, Expected, difference
from agent.targets.container import NAMES, Carried, Pair, carried
from agent.targets.docker_create import named
from agent.values.inventory import Inspected, Inventory
from agent.values.settings import Settings


class Kind(enum.Enum):
    """What it is, and so how it is made again."""

    CONTAINER = "container"
    SERVICE = "compose-service"
    ONE_OFF = "compose-run"
    DEV_CONTAINER = "dev-container"
    BUILDER = "builder"
    IMAGE = "image"
    NAME_SERVERS = "name-servers"  # a container that asks another network's DNS


class Stale(msgspec.Struct, frozen=True, kw_only=True):
    """One thing, or all containers of one service."""

    kind: Kind
    name: str
    containers: tuple[str, ...] = ()  # their names
    image: str = ""
    is_running: bool = False
    carries: Settings = Settings()
    name_servers: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()  # the settings
    by_hand: tuple[str, ...] = ()  # variables that a person, a compose file or an image has set
    lost: tuple[str, ...] = ()  # what the new one does not have
    command: str = ""
    first: str = ""  # what has to be done before the command helps


def stale_things(found: Inventory, expects: Expected, dns: Sequence[str], docker: str = "docker") -> Iterator[Stale]:
    """`dns`: whom a new container asks; (): not known. Those that run come first."""
    own = (make_again.with_own_labels(one, found.images.get(str(one.get("Image"))) or {}) for one in found.containers)
    found = msgspec.structs.replace(found, containers=tuple(own))
    yield from sorted(_containers(found, expects, docker), key=lambda one: (not one.is_running, one.name))
    yield from sorted(_images(found, expects, docker), key=lambda one: one.name)
    yield from sorted(_other_dns(found, dns, docker), key=lambda one: one.name)


def _containers(found: Inventory, expects: Expected, docker: str) -> Iterator[Stale]:
    services: dict[tuple[str, str], list[Inspected]] = {}
    for one in found.containers:
        service = make_again.service_of(one)
        if service is not None and make_again.dev_container(one) is None:
            services.setdefault(service, []).append(one)
        elif (differs := difference(_carried(one), _asked_of(one, expects))) is not None:
            yield _alone(one, found, differs, expects=expects, docker=docker)
    for (project, service_name), containers in services.items():
        others = [(one, differs) for one in containers if (differs := difference(_carried(one), expects))]
        if others:
            yield msgspec.structs.replace(
                _told(*others[0], found),
                kind=Kind.SERVICE,
                name=f"{project}/{service_name}",
                containers=tuple(named(one) for one, _ in others),
                is_running=any(_is_up(one) for one in containers),
                command=make_again.service(containers, docker).command,
                lost=_written(containers[0]),
            )


def _alone(one: Inspected, found: Inventory, differs: Difference, *, expects: Expected, docker: str) -> Stale:
    told, image = _told(one, differs, found), found.images.get(str(one.get("Image"))) or {}
    if make_again.builder_of(one):
        again = make_again.builder(one, image, expects.settings, docker)
        name = make_again.builder_of(one)
        return msgspec.structs.replace(
            told, kind=Kind.BUILDER, name=name, command=again.command, lost=again.left, first=""
        )
    if (dev := make_again.dev_container(one)) is not None:
        return msgspec.structs.replace(told, kind=Kind.DEV_CONTAINER, command=dev.command, lost=_written(one))
    if make_again.is_one_off(one):
        again, kind = make_again.removal(one, docker), Kind.ONE_OFF
    else:
        again, kind = make_again.container(one, image, docker), Kind.CONTAINER
    lost = (*_written(one), *_set_by_hand(_carried(one)), *again.left)
    return msgspec.structs.replace(told, kind=kind, command=again.command, lost=lost)


def _set_by_hand(carries: Carried) -> tuple[str, ...]:
    """The command takes no variable of a proxy along."""
    pair = carries.no_proxy
    return () if pair.is_of_the_client or not any(pair.said) else ("the no_proxy entries that were set by hand",)


def _asked_of(one: Inspected, expects: Expected) -> Expected:
    """A builder gets nothing of the client, and pulls by itself: one without a proxy is stale all the same."""
    return msgspec.structs.replace(expects, is_given=True) if make_again.builder_of(one) else expects


def _told(one: Inspected, differs: Difference, found: Inventory) -> Stale:
    carries = _carried(one)
    return Stale(
        kind=Kind.CONTAINER,
        name=named(one),
        containers=(named(one),),
        image=str((one.get("Config") or {}).get("Image") or ""),
        is_running=_is_up(one),
        carries=carries.meaning(),
        differs=differs.names,
        by_hand=differs.by_hand,
        first=_first(one, carries, found),
    )


def _first(one: Inspected, carries: Carried, found: Inventory) -> str:
    """What is set elsewhere comes again with every new container."""
    image = found.images.get(str(one.get("Image"))) or {}
    of_image = _carried(image).by_name()
    pairs = carries.by_name().items()
    if any(pair.said and any(pair.said) and pair == of_image[name] for name, pair in pairs):
        return f"its image sets {_variables(of_image)}: recreate the image first"
    if make_again.service_of(one) is None:
        return ""
    by_hand = {name: pair for name, pair in pairs if pair.said and not pair.is_of_the_client and any(pair.said)}
    return f"its compose file sets {_variables(by_hand)}: change it there first" if by_hand else ""


def _variables(pairs: Mapping[str, Pair]) -> str:
    return " and ".join(NAMES[name][0] for name, pair in pairs.items() if any(pair.said))


def _images(found: Inventory, expects: Expected, docker: str) -> Iterator[Stale]:
    for image in found.images.values():
        names = [str(name) for name in image.get("RepoTags") or () if "<none>" not in str(name)]
        carries = _carried(image)
        differs = difference(carries, msgspec.structs.replace(expects, is_given=False))
        if not names or differs is None or not carries.has_proxy:
            continue
        yield Stale(
            kind=Kind.IMAGE,
            name=names[0],
            image=names[0],
            carries=carries.meaning(),
            differs=differs.names,
            command=" && ".join(make_again.image(name, carries, docker).command for name in names),
        )


def _other_dns(found: Inventory, dns: Sequence[str], docker: str) -> Iterator[Stale]:
    for one in found.containers:
        asks = found.name_servers.get(str(one.get("Id")), ())
        if dns and asks and _compared(asks) != _compared(dns):
            yield Stale(
                kind=Kind.NAME_SERVERS,
                name=named(one),
                containers=(named(one),),
                image=str((one.get("Config") or {}).get("Image") or ""),
                is_running=True,
                name_servers=tuple(asks),
                command=make_again.restart(one, docker).command,
            )


def _compared(servers: Sequence[str]) -> frozenset[str]:
    """Without those of IPv6, if there are others: where a network has none of it, Docker leaves them out."""
    old = frozenset(one for one in servers if ":" not in one)
    return old or frozenset(servers)


def _carried(one: Inspected) -> Carried:
    return carried((one.get("Config") or {}).get("Env") or ())


def _is_up(one: Inspected) -> bool:
    return bool((one.get("State") or {}).get("Running"))


def _written(one: Inspected) -> tuple[str, ...]:
    """What it wrote beside its volumes goes with it."""
    size = one.get("SizeRw")
    if not isinstance(size, int):
        return ("what it wrote outside its volumes",)
    return (f"{_size(size)} that it wrote outside its volumes",) if size else ()


def _size(size: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"

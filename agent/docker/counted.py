"""The containers that a restart of Docker should keep, counted before it and after it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.decide.restart import ended, named
from agent.docker.ports import Look
from agent.values.condition import Code, Condition
from agent.values.dockerd import Engine, Running
from agent.values.errors import EngineSilent, UnitFailed


class CountedContainers(msgspec.Struct, frozen=True):
    """Containers before a restart, or after it."""

    running: frozenset[Running] = frozenset()
    gone: tuple[str, ...] = ()  # that did not survive
    ends: tuple[str, ...] = ()  # those that the start of this Docker ends, whatever live-restore says
    said: tuple[str, ...] = ()  # why they could not be counted
    are_kept: bool = True  # they should survive; else the policy or a person has chosen to stop them

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(one for one in self.gone if one not in self.ends) if self.are_kept else ()

    @property
    def stopped(self) -> tuple[str, ...]:
        return tuple(one for one in self.gone if one in self.ends) if self.are_kept else self.gone


async def count(look: Look, engine: Engine | None, *, are_kept: bool) -> CountedContainers:
    """The containers that run now."""
    try:
        running = await look.running()
    except (EngineSilent, UnitFailed) as error:
        return CountedContainers(said=(f"containers were not counted: {error}",))
    return CountedContainers(running, ends=ended(engine, running), are_kept=are_kept)


async def count_again(look: Look, before: CountedContainers) -> CountedContainers:
    """Which of them still run, without a new start, and which do not."""
    if not before.running:
        return before
    after = await count(look, None, are_kept=before.are_kept)
    if after.said:
        return after
    gone = tuple(sorted(one.name or one.id[:12] for one in before.running - after.running))
    return msgspec.structs.replace(before, running=before.running & after.running, gone=gone)


def containers_lost(lost: Sequence[str], taken_along: Sequence[str] = ()) -> Condition | None:
    """What a person has to be told of containers that should have survived."""
    if not lost:
        return None
    those = "1 container" if len(lost) == 1 else f"{len(lost)} containers"
    along = f"; {named(taken_along)} went down with Docker" if taken_along else ""
    text = f"{those} should have survived the restart of Docker, but did not: {named(lost)}{along}"
    return Condition(Code.CONTAINERS_LOST, text, "See: docker ps --all")

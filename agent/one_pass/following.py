"""The relay goes along with each move while something else takes minutes."""

from __future__ import annotations

import asyncio
from typing import Final

from agent.audit.unexpected import unexpected
from agent.decide.choose import Ending
from agent.one_pass.leading import is_to_be_led, lead
from agent.one_pass.look import arrive
from agent.one_pass.ports import Choosing, World
from agent.values.errors import AgentError
from agent.values.policy import Policy
from agent.values.snapshot import Snapshot

_FOLLOWS_S: Final = 0.5


async def follow(policy: Policy, world: World, choosing: Choosing, last: Snapshot | None = None) -> None:
    """Have the relay go along with each move while Docker is restarted, which may take minutes. Never ends.

    `last`: the network that it was told of. All else is for the next pass.
    """
    while True:
        await asyncio.sleep(_FOLLOWS_S)
        try:
            if not is_to_be_led(world, choosing):
                continue
            now = await world.host.see()
            if last is None or last.fingerprint() != now.fingerprint():
                here = await arrive(policy, world, choosing, now, is_served=True)
                last = now if now.is_offline or (await lead(here)).ending is not Ending.WAITING else None
        except AgentError:  # the next pass meets it, too, and says so
            continue
        except Exception as error:  # noqa: BLE001 - the boundary of a target: Docker's half goes on
            unexpected("the relay", error)
            return

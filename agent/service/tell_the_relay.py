"""The relay gets word of networks that it knows nothing of, whatever a pass is waiting for."""

from __future__ import annotations

import asyncio
from typing import Final

from agent.audit.unexpected import unexpected
from agent.service.policy_in_use import PolicyInUse
from agent.service.ports import Wakes
from agent.values.errors import AgentError

_WORD_AGAIN_S: Final = 0.5
_WORDS_APART_S: Final = 0.1


async def tell_the_relay(policy: PolicyInUse, wakes: Wakes) -> None:
    """Who comes by a network that it knows nothing of waits for seconds, and is let in then.

    A pass may take longer: a PAC, a probe, Docker's restart.
    """
    while True:
        is_awaited = True
        while is_awaited:  # Docker does not answer yet, or does not list the network
            is_awaited = await _is_word_awaited(policy, wakes)
            # A restart of Docker is many messages.
            await asyncio.sleep(_WORD_AGAIN_S if is_awaited else _WORDS_APART_S)
        await wakes.bridges_told()


async def _is_word_awaited(policy: PolicyInUse, wakes: Wakes) -> bool:
    if policy.current is None:
        return False
    relay = policy.current.world.relay
    try:
        wakes.heed_relay(relay.folder, relay.state)  # at boot it may come in the middle of a pass
        return await relay.tell_who_waits()
    except AgentError:  # such as a full disk: the next pass meets it, too, and says so
        return False
    except Exception as error:  # noqa: BLE001 - the boundary of a target
        unexpected("the relay", error)
        return False

"""The look at clients' files, as a pass takes it."""

from __future__ import annotations

from typing import Final

from agent.audit.unexpected import unexpected
from agent.clients.clients import ClientsSeen
from agent.decide.clients import Intent, Wanted
from agent.decide.relay import Relayed
from agent.one_pass.ports import World
from agent.values.listening import is_loopback, is_name
from agent.values.policy import Upstream

CLIENTS: Final = "the clients' files"


async def look_at_clients(upstream: Upstream, world: World, relayed: Relayed) -> ClientsSeen:
    if relayed.comes_up:  # what is taken away now would be written again in a moment
        return ClientsSeen(Wanted(Intent.LEAVE, "the relay is brought up first"))
    try:
        async with world.clients.one_pass():  # where it is all that is done
            return await world.clients.look(upstream, relayed.for_clients)
    except Exception as error:  # noqa: BLE001 - the boundary of a target: Docker's half goes on
        return ClientsSeen(Wanted(Intent.LEAVE, "not known"), unexpected=unexpected(CLIENTS, error))


async def look_for_strangers(upstream: Upstream | None, world: World, relayed: Relayed) -> ClientsSeen | None:
    """Without a choice clients keep what they have, unless it leads to another user's listener by now."""
    upstream = relayed.for_clients or upstream
    if upstream is None:
        return None
    urls = [url for url in (upstream.http, upstream.https) if url is not None]
    # A name may be this host's: Debian's /etc/hosts has 127.0.1.1 for it. The look at clients resolves it.
    if not any(is_loopback(url) or is_name(url.host) for url in urls):
        return None
    seen = await look_at_clients(upstream, world, relayed)
    return seen if seen.wanted.is_somebody_elses else None

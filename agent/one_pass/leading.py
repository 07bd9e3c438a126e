"""What a look tells the relay: as soon as it knows, whatever Docker does.

It costs the relay only, if that fails. Not known here: which units there are, and what the orders look like (`relay`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import msgspec

from agent.audit.unexpected import unexpected
from agent.decide.choose import Choice
from agent.decide.effective import runs_with
from agent.decide.relay import Chosen, Relayed, by_a_pause, goes_by_last_orders
from agent.decide.urgent import may_be_asked
from agent.one_pass.here import Found, Here, recognised_in
from agent.one_pass.ports import Choosing, World
from agent.values.dockerd import Reality
from agent.values.errors import AgentError
from agent.values.verdict import Verdict

_FOUND_S: Final = 0.3  # a Docker that is up, or down, is found in less


def is_to_be_led(world: World, choosing: Choosing) -> bool:
    return world.relay.is_up and not choosing.is_pause_laid_down


async def lead_meanwhile(here: Here, finding: asyncio.Task[Found]) -> None:
    """Choose for the relay while a Docker that starts, stops or hangs is waited for: nobody else has to wait for it.

    Nothing of Docker's follows from that. Once it is found, it is chosen again, by the verdicts that are known by then.
    """
    await asyncio.wait({finding}, timeout=_FOUND_S)
    while not finding.done() and is_to_be_led(here.world, here.choosing):
        await lead(here)
        await asyncio.wait({finding}, timeout=here.choosing.next_choice_s)


async def lead(here: Here) -> Choice:
    """Choose for the relay alone."""
    relay = here.world.relay
    verdicts, choice = await here.choosing.choose(here.network, here.snapshot, relay.upstream)
    await served(relay.tell(with_the_refused(here, Chosen(here.network, verdicts, choice))), Relayed())
    return choice


async def serve(here: Here, chosen: Chosen, relayed: Relayed) -> Relayed:
    async def works(name: str) -> Verdict:
        return await here.choosing.works_now(here.policy.upstreams[name], here.snapshot)

    choosing, relay = here.choosing, here.world.relay
    if choosing.is_pause_laid_down:
        return await served(relay.serve_paused(chosen), relayed)
    # Unfinished work may yet give Docker its address.
    may_start = not (choosing.is_starting or choosing.is_paused)
    return await served(relay.serve(chosen, works, may_start=may_start), relayed)


def with_the_refused(here: Here, chosen: Chosen) -> Chosen:
    """Also with the verdicts on upstreams whose password was refused before, which are not probed."""
    verdicts = {**chosen.verdicts, **here.choosing.refused(here.snapshot)}
    return msgspec.structs.replace(chosen, verdicts=verdicts)


async def tell_before_pacs_are_asked(here: Here) -> None:
    """By what they have named in this place. What they named elsewhere may be anybody here."""
    known, pinned = here.policy, here.choosing.pinned
    if not here.snapshot.is_offline:
        known = here.world.pacs.known_here(here.policy, here.network, here.snapshot, pinned=pinned)
    recognised = recognised_in(known, here.policy, here.recognised)
    await tell_at_once(msgspec.structs.replace(here, policy=known, recognised=recognised), Relayed())


async def tell_at_once(here: Here, relayed: Relayed) -> Relayed:
    choosing, relay, network = here.choosing, here.world.relay, here.network
    refused, is_paused = choosing.refused(here.snapshot), choosing.is_pause_laid_down
    is_offline = here.snapshot.is_offline
    # Offline nothing is used: on arrival a password would be sent before anybody has looked where that is. With a pause
    # or a pin, a person has said what to use everywhere.
    used_here = msgspec.structs.replace(network, use=(*(() if is_offline else network.use), *_pinned(here)))
    if not is_paused:
        relayed = await served(relay.withhold_passwords(used_here, refused, is_offline=is_offline), relayed)
    elif not is_offline:
        relayed = await served(relay.give_back_passwords(used_here, refused), relayed)
    return await served(relay.tell_at_once(network, refused, is_paused=is_paused), relayed)


def _pinned(here: Here) -> tuple[str, ...]:
    """The upstream that is pinned; of a PAC what it names here."""
    if (name := here.choosing.pinned) is None:
        return ()
    pinned = here.policy.upstreams.get(name)
    return pinned.candidates if pinned is not None and pinned.is_pac else (name,)


async def ask_through(here: Here, chosen: Chosen, relayed: Relayed, reality: Reality) -> Relayed:
    """Docker has the relay's address, so what works for it is what the relay uses, whatever would be chosen now."""
    running = runs_with(reality)
    port = relayed.port_in(running) if running is not None and not relayed.is_broken else None
    if port is None:
        return relayed
    through = relayed.silence.verdict if port in relayed.silence.ports else None
    if goes_by_last_orders(chosen, relayed.upstream, is_paused=here.choosing.is_pause_laid_down):
        asked = await here.world.relay.leads_out(port, with_the_refused(here, chosen), here.snapshot)
        through = asked or through
    return msgspec.structs.replace(relayed, through=through)


async def kept_by_a_pause(here: Here, name: str, chosen: Chosen, through: Verdict | None) -> str:
    """Why the upstreams that it keeps may not work here; '' if they do."""
    upstream, verdict = here.policy.upstreams[name], chosen.verdicts.get(name)
    if chosen.choice.upstream is None or (chosen.choice.upstream == name and (verdict is None or not verdict.is_ok)):
        return ""
    if verdict is None and may_be_asked(upstream, chosen.network):
        verdict = await here.choosing.works(upstream, here.snapshot)
    return by_a_pause(name, verdict, through)


async def served(serving: Coroutine[Any, Any, Relayed], relayed: Relayed) -> Relayed:
    try:
        return await serving
    except AgentError as error:  # such as a full disk
        fault = error
    except Exception as error:  # noqa: BLE001 - the boundary of a target: Docker's half and the clients' go on
        fault = unexpected("the relay", error)
    return msgspec.structs.replace(relayed, fault=fault)


@contextlib.asynccontextmanager
async def telling_of_bridges(world: World, relayed: Relayed) -> AsyncIterator[None]:
    """Tell of new bridges while probes run, and no longer: a Docker that hangs must not delay a switch.

    What is not done by then is done again when the relay is told of the choice.
    """

    async def tell() -> None:
        await served(world.relay.tell_of_bridges(), relayed)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait([telling])

"""A look in a network that stands still, or that is taken as it is.

It begins at once, and begins anew where the host has come into another network meanwhile. Not known here: what is
looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final

import msgspec

from agent.decide.recognise import recognise
from agent.decide.stillness import STILL_S, may_be_answered, only_more_came, still_s
from agent.one_pass.look import look
from agent.one_pass.ports import Choosing, Host, Maker, World
from agent.one_pass.seen import Offline, Seen
from agent.system.running_time import Left
from agent.values.policy import Policy
from agent.values.reason import Reason
from agent.values.snapshot import Snapshot

STILL_AT_LAST_S: Final = 3.0  # a network that never stands still is taken as it is


_DNS_AGAIN_S: Final = 0.02  # only a file tells of DNS, and a change of it is reported 0.1 s later


_DNS_COMES_S: Final = 1.0  # … behind its address and its route, if it does


_ANSWERED_AGAIN_S: Final = 0.02  # a proxy says within milliseconds whether it takes a password


_ANSWERED_S: Final = 1.0  # … and one that does not within this time may never: a move, or a person, waits no longer


class Interrupted(Exception):
    """Another pass was requested before anything was written."""


async def look_at_rest(policy: Policy, world: World, choosing: Choosing, maker: Maker) -> Seen:
    """Look until the network stands still. Probing begins at once; what follows waits."""
    given_up = time.monotonic() + STILL_AT_LAST_S
    while True:
        began = time.monotonic()
        snapshot = await world.host.see()
        looking: Coroutine[Any, Any, Seen | None] = look(
            policy, world, choosing, snapshot, is_hasty=maker.is_hasty, is_served=True
        )
        may_begin_anew = began < given_up
        if may_begin_anew:
            looking = _look_undisturbed(looking, snapshot, world, choosing=choosing, maker=maker)
        seen = await looking
        if seen is None:
            if time.monotonic() - began >= STILL_AT_LAST_S:  # it stood still, and the look waited for Docker
                given_up = time.monotonic() + STILL_AT_LAST_S
            continue
        if not may_begin_anew or not (seen.acts or maker.has_news(seen)):
            return seen
        known = world.pacs.known(policy)
        await asyncio.sleep(began + _still_s(known, seen) - time.monotonic())
        if (stood := _stood(known, seen, await world.host.see())) is not None:
            return stood


def _stood(policy: Policy, seen: Seen, now: Snapshot) -> Seen | None:
    """The look, completed with what has come since; None: it has to start over."""
    if now.fingerprint() == seen.snapshot.fingerprint():
        return seen
    if isinstance(seen, Offline) or not only_more_came(
        policy.networks,
        seen.snapshot,
        now,
        recognised=seen.recognised,
        choice=seen.choice,
        verdicts=seen.verdicts,
    ):
        return None
    return msgspec.structs.replace(seen, snapshot=now, recognised=recognise(policy.networks, now))


def _still_s(policy: Policy, seen: Seen) -> float:
    if isinstance(seen, Offline):
        return STILL_S
    return still_s(policy.networks, seen.snapshot, seen.recognised, seen.choice, verdicts=seen.verdicts)


async def _look_undisturbed(
    looking: Coroutine[Any, Any, Seen | None], snapshot: Snapshot, world: World, *, choosing: Choosing, maker: Maker
) -> Seen | None:
    """None: the host is in another network by now."""
    unread = asyncio.Event()
    task, disturbed = (
        asyncio.ensure_future(looking),
        asyncio.ensure_future(_disturbed(snapshot, world, choosing=choosing, maker=maker, unread=unread)),
    )
    try:
        await asyncio.wait({task, disturbed}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            found = task.result()
            # This has consumed the news, and nobody else is told of it.
            is_elsewhere = unread.is_set() and (await world.host.see()).fingerprint() != snapshot.fingerprint()
            return None if is_elsewhere else found
        await _until_answered(task, snapshot, world)
        if disturbed.result() is Reason.REQUEST:
            raise Interrupted
        return None
    finally:
        task.cancel()
        disturbed.cancel()
        await asyncio.wait([task, disturbed])


async def _until_answered(task: asyncio.Future[Seen | None], snapshot: Snapshot, world: World) -> None:
    """Do not cut short a look that has sent a password before it knows whether that is right: it would be sent again.

    Unless the answer can no longer come, because the host has left, or does not come in time.
    """
    left = Left(_ANSWERED_S)
    while world.prober.is_password_out and not left.is_over():
        if not may_be_answered(snapshot, await world.host.see()):
            return
        await asyncio.wait({task}, timeout=_ANSWERED_AGAIN_S)
        if task.done():
            task.result()
            return


async def _disturbed(
    snapshot: Snapshot, world: World, *, choosing: Choosing, maker: Maker, unread: asyncio.Event
) -> Reason:
    """Wait until the host is in another network, or somebody asks for another pass.

    `unread`: set while there is news of the network that was taken and not looked at yet.
    """
    dns = asyncio.ensure_future(_dns_comes(snapshot, world.host, choosing))
    try:
        while True:
            interrupted = asyncio.ensure_future(maker.interrupted())
            try:
                await asyncio.wait({dns, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                interrupted.cancel()
            if dns.done():
                return Reason.NETWORK
            if interrupted.result() is Reason.REQUEST:
                return Reason.REQUEST
            # Containers that come and go make noise on the network, but change nothing.
            unread.set()
            if (await world.host.see()).fingerprint() != snapshot.fingerprint():
                return Reason.NETWORK
            unread.clear()
    finally:
        dns.cancel()
        await asyncio.wait([dns])


async def _dns_comes(snapshot: Snapshot, host: Host, choosing: Choosing) -> None:
    """Wait for a DNS server where there was none: what is asked without one may wait in vain.

    Later than just after an arrival none is expected: this host may be its own server for good.
    """
    given_up = time.monotonic() + _DNS_COMES_S
    while not snapshot.dns_elsewhere and choosing.is_patient(snapshot) and time.monotonic() < given_up:
        await asyncio.sleep(_DNS_AGAIN_S)
        if host.dns_elsewhere():
            return
    await asyncio.Event().wait()

"""All that was looked at, subject by subject, and what follows.

Pure. Not known here: how any of it was seen (`look.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agent.cli.doctor import (
    clock,
    compose,
    conditions,
    engines,
    entries,
    firewall,
    homes,
    listener,
    logins,
    names,
    pacs,
    password,
    pulls,
    relay,
    room,
    service,
    settings,
    shell,
    trust,
    units,
    waiting,
)
from agent.cli.doctor.finding import Finding
from agent.cli.doctor.told import Around, Pause
from agent.values.condition import Code, Condition


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One look."""

    policy: str = "/etc/docker-proxy-agent/config.toml"
    conditions: tuple[Condition, ...] = ()
    is_docker_failing: bool = False  # what it runs with does not work here, and something holds it there
    is_led_out: bool = False  # by the relay's last orders, whatever the upstreams do
    pause: Pause = Pause()
    still_used: str = ""  # see `Around`
    waiting: waiting.Waiting | None = None
    refused: tuple[password.Refused, ...] = ()
    proxies: tuple[listener.LocalProxy, ...] = ()
    hosts: tuple[names.Host, ...] = ()
    unknown_to_containers: tuple[names.InContainers, ...] = ()
    engines: engines.Engines = engines.Engines()
    pacs: pacs.Pacs = pacs.Pacs()
    needed: tuple[pulls.Needed, ...] = ()
    shells: tuple[shell.ShellsWay, ...] = ()
    relay: relay.RelaySeen | None = None
    seats: tuple[firewall.Seat, ...] = ()
    compose: compose.Compose = compose.Compose()
    trust: trust.Trust = trust.Trust()
    clock: clock.Clock = clock.Clock()
    written: settings.Written = settings.Written()
    unit: units.Unit = units.Unit()
    homes: tuple[homes.Left, ...] = ()
    clients: tuple[entries.Client, ...] = ()
    logins: tuple[logins.Login, ...] = ()
    service: service.Service | None = None
    rooms: tuple[room.Room, ...] = ()
    unseen: tuple[str, ...] = ()  # what could not be looked at, and why


def judged(facts: Facts) -> Iterator[Finding]:
    """What is found, in the order of the subjects: the cause before what follows from it."""
    return (units.with_room(one, facts.unit) for one in _found(facts))


def _found(facts: Facts) -> Iterator[Finding]:
    is_unreachable = any(one.code is Code.UNREACHABLE for one in facts.conditions)
    is_failing = facts.is_docker_failing or (is_unreachable and not facts.is_led_out)
    engine, failed = [*engines.judge(facts.engines)], [*units.judge_failed(facts.unit)]
    refused = [*password.judge(facts.refused, facts.policy)]
    nameless = [*names.judge_in_containers(facts.unknown_to_containers)]
    said = conditions.without_what_follows(facts.conditions, [*engine, *failed, *refused, *nameless])
    causes, following = conditions.causes_first(said)
    around = Around(
        policy=facts.policy,
        reality=facts.written.reality,
        pause=facts.pause,
        still_used=facts.still_used,
        is_docker_failing=is_failing,
        is_led_out=facts.is_led_out,
    )
    held = [
        *service.judge(facts.service, is_docker_failing=facts.is_docker_failing, relay=facts.relay),
        *refused,
        *conditions.judge(causes, around),
    ]
    yield from engine
    yield from room.judge(facts.rooms)
    yield from clock.judge(facts.clock)
    yield from failed
    yield from held
    yield from waiting.judge(facts.waiting, is_docker_failing=facts.is_docker_failing)
    # Asked directly only because something keeps the proxy from Docker.
    yield from names.judge(facts.hosts, is_held=any(conditions.is_holding(one) for one in held))
    yield from nameless
    yield from pacs.judge(facts.pacs)
    yield from listener.judge(facts.proxies, facts.policy)
    yield from pulls.judge(facts.needed)
    yield from shell.judge(facts.shells)
    yield from relay.judge(facts.relay)
    yield from firewall.judge(facts.seats)
    yield from compose.judge(facts.compose)
    yield from logins.judge(facts.logins)
    yield from trust.judge(facts.trust)
    yield from conditions.judge(following, around)
    yield from homes.judge(facts.homes)
    yield from entries.judge(facts.clients, facts.engines.sockets)
    yield from settings.judge(facts.written)
    yield from units.judge(facts.unit)

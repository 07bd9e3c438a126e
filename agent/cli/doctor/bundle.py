"""What a helpdesk asks for, as one value: `doctor --bundle` writes it.

Pure. Every text of it is cut and redacted (`audit/facts.py`), users are hidden, and without `--full` all that tells
where the laptop is but the policy's names of its networks. Not known here: how any of it was found (`gather.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.audit.facts import plain
from agent.cli.doctor.facts import Facts
from agent.cli.doctor.finding import DoctorShown
from agent.cli.doctor.hidden import Hiding
from agent.values.policy import Policy
from agent.values.secret import HIDDEN
from agent.values.shown import Bounds
from agent.values.snapshot import Snapshot

_BOUNDS: Final = Bounds(values=200_000, items=1000)
_KNOWN_BY: Final = ("ssid", "gateway", "gateway_mac", "address", "dns_search", "dns_server")  # of a match


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. A part that was not found is empty, and `unseen` says why."""

    versions: Mapping[str, str]  # of the agent, Python, the system, its kernel, systemd, Docker
    doctor: DoctorShown
    status: Mapping[str, Any] = {}
    policy: Policy | None = None
    settings: Mapping[str, Any] = {}  # what Docker runs with, what it would start with, and what each place says
    units: Mapping[str, Mapping[str, str]] = {}
    audit: tuple[Mapping[str, Any], ...] = ()  # the last records
    journal: tuple[str, ...] = ()  # the last lines of the agent's own unit
    unseen: tuple[str, ...] = ()
    # What may stand in any of these, and is hidden.
    users: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()


def made(bundle: Bundle, *, is_full: bool) -> dict[str, Any]:
    """As it is written. `is_full`: with SSIDs, addresses and search domains."""
    parts = {
        "places": "full" if is_full else "names",
        "versions": bundle.versions,
        "doctor": msgspec.to_builtins(bundle.doctor),
        "status": bundle.status,
        "policy": bundle.policy,
        "settings": bundle.settings,
        "units": bundle.units,
        "audit": bundle.audit,
        "journal": bundle.journal,
        "unseen": bundle.unseen,
    }
    found = {name: plain(part, _BOUNDS) for name, part in parts.items()}
    policy = found["policy"]
    if isinstance(policy, dict):
        _hide_in_policy(policy, is_full=is_full)
    users, places = bundle.users | set(_users(bundle)), None if is_full else bundle.places | set(_places(bundle))
    shown: dict[str, Any] = Hiding(users, places).value(found)
    return shown


def _hide_in_policy(policy: dict[str, Any], *, is_full: bool) -> None:
    """What a person wrote there as a user, a place, or a command with who knows what in it."""
    if policy["clients"]["users"] != "auto":
        policy["clients"]["users"] = [HIDDEN for _ in policy["clients"]["users"]]
    policy["docker"]["restart_command"] = policy["docker"]["restart_command"][:1]
    for network in policy["networks"] if not is_full else ():
        network["match"] = {key: HIDDEN for key, values in network["match"].items() if values}


def _users(bundle: Bundle) -> Iterator[str]:
    policy = bundle.policy
    if policy is not None:
        yield from () if policy.clients.users == "auto" else policy.clients.users
        for upstream in policy.upstreams.values():
            yield from (upstream.username, upstream.owner)


def _places(bundle: Bundle) -> Iterator[str]:
    for network in bundle.policy.networks if bundle.policy is not None else ():
        for key in _KNOWN_BY:
            yield from getattr(network.match, key)


def users_found(facts: Facts, records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Those whom findings or records name."""
    yield from filter(None, (facts.pause.whose,))
    yield from (one.whose for one in facts.clients)
    yield from (one.whose for one in facts.homes)
    for login in facts.logins:
        yield from login.whose
    for proxy in facts.proxies:
        yield from (proxy.owner, *proxy.listens)
    for record in records:
        by = record.get("by")
        if isinstance(by, dict) and isinstance(by.get("claimed"), str):
            yield by["claimed"]


def places_of(snapshot: Snapshot) -> Iterator[str]:
    """What is there now and has no looks of its own; addresses have."""
    yield from (one.ssid for one in snapshot.interfaces if one.ssid)
    yield from snapshot.dns_search


def places_in(facts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The SSIDs that records tell."""
    for one in facts:
        interfaces = one.get("interfaces")
        for interface in interfaces if isinstance(interfaces, list) else ():
            if isinstance(interface, dict) and isinstance(interface.get("ssid"), str):
                yield interface["ssid"]

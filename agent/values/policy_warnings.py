"""What is valid in a policy and unwise, or as it must be and should be known.

Pure: a `Policy` goes in, and where each part of it is written.
"""

from __future__ import annotations

from typing import Final

from agent.values.listening import is_loopback
from agent.values.policy import Policy, Upstream
from agent.values.policy_parts import NO_ORIGINS, Origins
from agent.values.remark import Remark
from agent.values.settings import Scheme

_RARE_ENOUGH_S: Final = 5


def warnings(policy: Policy, origins: Origins = NO_ORIGINS) -> tuple[Remark, ...]:
    """Warnings: valid, but unwise. `origins`: where each of it is written."""
    found = []
    probe = origins.tables.get("probe", "")
    if not policy.probe.recheck:
        text = 'probe.recheck: "0s" probes only on events: a proxy that fails between two is noticed at the next'
        found.append(Remark(text, probe))
    elif policy.probe.recheck < _RARE_ENOUGH_S:
        text = f"probe.recheck: every {policy.probe.recheck:g} s is often: a registry may answer 429, too many requests"
        found.append(Remark(text, probe))
    for upstream in policy.upstreams.values():
        if upstream.is_pac:
            if upstream.sends_password and not upstream.trusted:
                text = (
                    f"upstream.{upstream.name}: its password is sent to none of the proxies that the PAC names: list in"
                    " trusted those that may get it"
                )
                found.append(Remark(text, origins.upstreams.get(upstream.name, "")))
            open_ended = [one for one in upstream.trusted if one.endswith("*") and not one.is_of_addresses]
            found += [
                Remark(
                    f'upstream.{upstream.name}.trusted: "{one}" is open-ended, so a PAC file may name anybody\'s host'
                    ' that fits, which then gets the password: write the domain, such as "*.corp.example"',
                    origins.upstreams.get(upstream.name, ""),
                )
                for one in open_ended
            ]
        elif not upstream.is_direct and (upstream.http is None or upstream.https is None):
            missing, given = ("https_url", "http_url") if upstream.https is None else ("http_url", "https_url")
            text = f"upstream.{upstream.name}: {given} without {missing}: the other half goes direct"
            found.append(Remark(text, origins.upstreams.get(upstream.name, "")))
    found += _network_warnings(policy, origins)
    return tuple(found)


def _network_warnings(policy: Policy, origins: Origins) -> list[Remark]:
    found = []
    for number, network in enumerate(policy.networks, start=1):
        if not network.match.is_empty:
            continue
        spot = origins.spot(number)
        label = spot.label(network.name)
        unasked = [name for name in network.use if policy.upstreams[name].is_pac]
        if unasked:
            text = (
                f"{label}: has no match, so the PAC of {', '.join(unasked)} is not asked here, but only in a network"
                " that is recognised"
            )
            found.append(Remark(text, spot.file))
        sent = [name for name in network.use if policy.upstreams[name].sends_password and name not in unasked]
        if sent:
            text = f"{label}: has no match, so the password of {', '.join(sent)} is sent in every network"
            found.append(Remark(text, spot.file))
        if number < len(policy.networks):
            found.append(Remark(f"{label}: has no match, so {_below(origins, number)} is never reached", spot.file))
            break
    return found


def _below(origins: Origins, number: int) -> str:
    """What comes after a network."""
    spot, after = origins.spot(number), origins.networks[number:]
    others = tuple(dict.fromkeys(one.file for one in after if one.file != spot.file))
    below = ("what is below it",) if not others or spot.file in {one.file for one in after} else ()
    return " and ".join((*below, *(f"what is in {file}" for file in others)))


def cautions(policy: Policy, origins: Origins = NO_ORIGINS) -> tuple[Remark, ...]:
    """What is valid and may be as it must be, and should be known: who gets to see a password on the way.

    Said by `check` alone: most proxies that want one are so.
    """
    found = []
    for name, upstream in policy.upstreams.items():
        file = origins.upstreams.get(name, "")
        if policy.relay.enable and upstream.sends_password:
            text = (
                f"upstream.{name}: through the relay every user and every container of this machine can use it, with"
                " its password, although none of them sees the password"
            )
            found.append(Remark(text, file))
        if not upstream.sends_password or upstream.owner:
            continue
        if upstream.is_pac:
            found += _pac_cautions(upstream, policy, origins)
            continue
        clear = [url for url in upstream.urls if url.scheme is not Scheme.HTTPS]
        if any(is_loopback(url) for url in clear):
            text = (
                f"upstream.{name}: its password is sent to whoever listens there on this machine; set `owner` to send"
                " it only to that user's listener"
            )
            found.append(Remark(text, file))
        for number, network in enumerate(policy.networks, start=1):
            if name in network.use and not network.match.is_empty and not all(map(is_loopback, clear)):
                scheme = next(url.scheme.value for url in clear if not is_loopback(url))
                spot = origins.spot(number)
                text = (
                    f"{spot.label(network.name)}: the password of {name} is sent unencrypted to whoever"
                    f" imitates this match: an {scheme}:// proxy does not prove who it is; an https:// one does"
                )
                found.append(Remark(text, spot.file))
    return tuple(found)


def _pac_cautions(upstream: Upstream, policy: Policy, origins: Origins) -> list[Remark]:
    if not upstream.trusted:
        return []
    found = []
    for number, network in enumerate(policy.networks, start=1):
        if upstream.name in network.use and not network.match.is_empty:
            spot = origins.spot(number)
            text = (
                f"{spot.label(network.name)}: the password of {upstream.name} is sent to whoever"
                f" imitates this match and is called {' or '.join(upstream.trusted)} by its PAC; unencrypted, unless"
                " that says HTTPS"
            )
            found.append(Remark(text, spot.file))
    return found

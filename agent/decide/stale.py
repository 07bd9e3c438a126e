"""Whether a container, a builder or an image carries other settings than new containers get.

Pure. What is carried never changes (FACTS 18): a container that was made at home knows nothing of the office. Three
things are no difference: a variable that is there and empty was left out on purpose; exclusions alone, where they
differ by hand; and a password that clients are not given.

Not known here: how a thing is made again (`make_again.py`), and how it was looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from agent.decide.clients import Intent, Wanted
from agent.targets.container import NAMES, Carried, Pair
from agent.values.condition import Code, Condition
from agent.values.settings import Proxy, ProxyUrl, Settings, no_proxy, proxy

_URLS: Final = ("http", "https", "all")
MOST: Final = 500  # containers, and images, that are looked at
SEE: Final = "See: docker-proxy-agent stale"


class Expected(msgspec.Struct, frozen=True):
    """What a new container gets."""

    settings: Settings
    is_given: bool = True  # whether the docker client gives it; if no config.json is kept, nobody does


class Difference(msgspec.Struct, frozen=True):
    """In what they differ."""

    names: tuple[str, ...]  # of the settings: http, https, all, no_proxy
    by_hand: tuple[str, ...] = ()  # variables that the docker client did not put there


def expected(wanted: Wanted, *, has_files: bool) -> Expected | None:
    """None: not known, so nothing can be compared with it."""
    if wanted.intent is Intent.SET:
        return Expected(wanted.settings, has_files)
    # Withdrawn: containers cannot reach it, and new ones get nothing.
    return Expected(Settings(), has_files) if wanted.intent is Intent.WITHDRAW else None


def difference(carried: Carried, expects: Expected) -> Difference | None:
    """None: it carries what a new one would get, or what somebody meant it to."""
    if any("*" in no_proxy(value) for value in carried.no_proxy.said):
        return None  # whatever else is set, it is direct, and a person said so
    wanted, pairs = expects.settings, carried.by_name()
    names = [name for name in _URLS if _differs(pairs[name], getattr(wanted, name), expects)]
    if _excludes_else(carried, wanted):
        names.append("no_proxy")
    if not names:
        return None
    by_hand = [one for name in names if pairs[name].said for one in _by_hand(name, pairs[name])]
    return Difference(tuple(names), tuple(by_hand))


def _differs(pair: Pair, wanted: Proxy | None, expects: Expected) -> bool:
    if not pair.said:
        return wanted is not None and expects.is_given
    return any(not _is_same(proxy(value), wanted) for value in pair.said if value)


def _is_same(found: Proxy | None, wanted: Proxy | None) -> bool:
    if isinstance(found, ProxyUrl) and isinstance(wanted, ProxyUrl) and wanted.credentials is None:
        return found.without_credentials() == wanted
    return found == wanted


def _excludes_else(carried: Carried, wanted: Settings) -> bool:
    """By what the client wrote: what a person added is meant."""
    pair = carried.no_proxy
    if wanted.is_direct or not carried.has_proxy or not pair.is_of_the_client:
        return False
    return any(no_proxy(value) != wanted.no_proxy for value in pair.said)


def _by_hand(name: str, pair: Pair) -> Iterable[str]:
    if pair.is_of_the_client:
        return ()
    return (spelled for spelled, value in zip(NAMES[name], (pair.upper, pair.lower), strict=True) if value)


class Ends(msgspec.Struct, frozen=True):
    """Where containers were given the relay, as `host:port`, and should not have it any more."""

    leaving: Collection[str] = ()  # it is still there, though the policy does not ask for it
    gone: Collection[str] = ()  # it does not listen there any more
    taken: Mapping[str, str] = {}  # … and who does


_NO_ENDS: Final = Ends()


def condition(carried: Sequence[Carried], expects: Expected | None, ends: Ends = _NO_ENDS) -> Condition | None:
    """That running containers carry other settings; None: none does, or it is not known."""
    if taken := _having(carried, ends.taken):
        who = " and ".join(sorted({*ends.taken.values()}))
        it = f"that gets what {'they send until they are' if taken > 1 else 'it sends until it is'} recreated"
        text = f"{_made(taken)}, where a program of {who} listens now: {it}"
        return Condition(Code.CONTAINERS_CUT_OFF, text, SEE)
    if cut_off := _having(carried, ends.gone):
        they = "they reach nothing until they are" if cut_off > 1 else "it reaches nothing until it is"
        return Condition(Code.CONTAINERS_CUT_OFF, f"{_made(cut_off)}, where nothing listens: {they} recreated", SEE)
    if leaving := _having(carried, ends.leaving):
        they = "they reach nothing until they are" if leaving > 1 else "it reaches nothing until it is"
        return Condition(Code.CONTAINERS_STALE, f"{_made(leaving)}: once that is off, {they} recreated", SEE)
    if expects is None:
        return None
    stale = sum(difference(one, expects) is not None for one in carried)
    if not stale:
        return None
    text = "1 container still has" if stale == 1 else f"{stale} containers still have"
    if len(carried) >= MOST:
        text = f"at least {text}"
    return Condition(Code.CONTAINERS_STALE, f"{text} proxy settings that a new one would not get", SEE)


def out_of_reach(carried: Iterable[Carried], ends: Collection[str]) -> Condition | None:
    """That running containers have the relay's address (`ends`) and cannot reach it; None: none is known to."""
    count = sum(one.has_no_bridge and leads_to(one.meaning(), ends) for one in carried)
    if not count:
        return None
    they, their = ("they reach", "them") if count > 1 else ("it reaches", "it")
    text = f"{_made(count)}, but on macvlan or ipvlan networks alone {they} nothing of this host, and so not the relay"
    remedy = (
        f"Connect {their} to Docker's bridge: docker network connect bridge NAME. Or create {their} without a proxy"
    )
    return Condition(Code.CLIENT_UNREACHABLE, text, remedy)


def _having(carried: Iterable[Carried], ends: Collection[str]) -> int:
    """How many have one of these addresses for a proxy."""
    return sum(leads_to(one.meaning(), ends) for one in carried) if ends else 0


def leads_to(said: Settings, ends: Collection[str]) -> bool:
    """Whether one of the proxies is at one of these addresses (`host:port`)."""
    return any(isinstance(one, ProxyUrl) and one.authority in ends for one in (said.http, said.https, said.all))


def _made(count: int) -> str:
    return f"{'1 container was' if count == 1 else f'{count} containers were'} created with the relay's address"
